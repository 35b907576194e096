#!/usr/bin/env bash
# What tests/compose/run.sh does in the tree.
set -euo pipefail

cd /checkout
log=/var/log/dockerd.log
client=$(mktemp -d) # what the client keeps: password, CA, settings
started=$SECONDS

step() { printf -- '-- %s\n' "$*"; }

die() {
    printf 'failed: %s\n' "$*" >&2
    tail -n 20 "$log" >&2
    compose logs --tail 20 >&2 || true
    exit 1
}

compose() { docker compose -f deploy/compose/compose.yaml "$@"; }

# Ends the containers too: the namespace of processes ends with this script.
step 'the engine'
rm -rf /srv/docker
mkdir -p /srv/docker
dockerd --data-root /srv/docker >"$log" 2>&1 &
for ((i = 0; i < 120; i++)); do
    ! docker info >/dev/null 2>&1 || break
    sleep 0.5
done
docker info >/dev/null || die 'the engine does not start'
docker --version
docker compose version

step 'an image of the registry, as registry:2'
image=$(mktemp -d)
mkdir -p "$image/bin" "$image/etc/docker/registry" "$image/etc/ssl/certs"
install -m 755 "$(command -v docker-registry)" "$image/bin/registry"
while read -r library; do
    install -D -m 755 "$library" "$image$library"
done < <(ldd "$(command -v docker-registry)" 2>/dev/null | sed -nE 's#^(.*=> )?\s*(/\S+) \(0x.*#\2#p')
install -m 755 "$(command -v busybox)" "$image/bin/wget"
cat >"$image/etc/docker/registry/config.yml" <<'YAML'
version: 0.1
storage: {filesystem: {rootdirectory: /var/lib/registry}, delete: {enabled: true}}
http: {addr: ":5000", secret: of-a-test}
YAML
printf '%s\n' 'FROM scratch' 'COPY . /' 'ENV PATH=/bin' 'VOLUME /var/lib/registry' 'EXPOSE 5000' \
    'ENTRYPOINT ["registry"]' 'CMD ["serve", "/etc/docker/registry/config.yml"]' |
    DOCKER_BUILDKIT=1 docker build --quiet --file - --tag registry:2 "$image"

step 'the image'
deploy/image/build.sh /program >/var/log/build.log 2>&1 || { cat /var/log/build.log >&2; die 'no image'; }
size=$(docker image inspect --format '{{.Size}}' tidegate)
printf '%d bytes\n' "$size"
((size <= 16000000)) || die 'the image is larger than 16 MB'
docker history --no-trunc --format '{{.Size}}  {{.CreatedBy}}' tidegate
! docker history --no-trunc tidegate | grep -iE 'password|secret|private' || die 'the history names a secret'
# Nothing but the program, its libraries and what says who it is. The engine adds some files of its own.
docker create --name files tidegate >/dev/null
docker export files | tar -t | grep -v '/$' | LC_ALL=C sort >"$client/files"
docker rm files >/dev/null
unexpected=$(grep -vE '^(\.dockerenv|dev/|proc/|sys/|lib(64)?/|usr/lib/|usr/bin/tidegate$)' "$client/files" |
    grep -vxE 'etc/(group|hostname|hosts|mtab|nsswitch\.conf|passwd|resolv\.conf|ssl/certs/ca-certificates\.crt)') || true
[[ -z $unexpected ]] || die "these do not belong into the image: $unexpected"
grep -x usr/bin/tidegate "$client/files" || die 'the image has no program'

up() {
    local before=$SECONDS
    compose up --detach --quiet-pull 2>&1 | tail -n 12
    for ((i = 0; i < 60; i++)); do
        [[ $(docker inspect --format '{{.State.Health.Status}}' "$(compose ps --quiet tidegate)") != healthy ]] || break
        sleep 0.5
    done
    [[ $(docker inspect --format '{{.State.Health.Status}}' "$(compose ps --quiet tidegate)") == healthy ]] ||
        die 'tidegate is not healthy'
    printf 'up and healthy after %d s\n' $((SECONDS - before))
    compose cp tidegate:/etc/tidegate/auth/password "$client/password" 2>/dev/null
    [[ $(stat -c %a "$client/password") == 600 ]] || die 'others may read the password'
    compose cp tidegate:/etc/tidegate/ca/ca.crt "$client/ca.crt" 2>/dev/null
    ! compose logs 2>&1 | grep -F "$(<"$client/password")" || die 'the password is in a log'
}

use() { # host
    docker login --username admin --password-stdin "$1" <"$client/password"
    docker tag test "$1/team/app:one"
    docker push --quiet "$1/team/app:one"
    docker rmi "$1/team/app:one" >/dev/null
    docker pull --quiet "$1/team/app:one"
}

step 'docker compose up'
folder=$(mktemp -d)
head -c 20M /dev/urandom >"$folder/noise"
printf 'FROM scratch\nCOPY noise /\n' | DOCKER_BUILDKIT=1 docker build --quiet --file - --tag test "$folder" >/dev/null
up
compose ps --all --format '{{.Service}}: {{.Status}}'
use localhost

step 'commands'
compose exec -T tidegate tidegate health --ready
compose exec -T tidegate tidegate top --once | head -n 3
docker inspect --format 'user {{.Config.User}}, read-only {{.HostConfig.ReadonlyRootfs}}, capabilities {{.HostConfig.CapDrop}}' \
    "$(compose ps --quiet tidegate)"
printf 'of bob, whom admin added\n' | compose run --rm -T admin htpasswd add auth/htpasswd bob
printf 'of bob, whom admin added\n' | docker login --username bob --password-stdin localhost
before=$(compose exec -T tidegate tidegate check --dump | sha256sum)
compose up --detach 2>&1 | tail -n 4
[[ $(compose exec -T tidegate tidegate check --dump | sha256sum) == "$before" ]] || die 'a second start changed the settings'
compose cp tidegate:/etc/tidegate/proxy.toml "$client/proxy.toml" 2>/dev/null
sed -i 's/^# names = .*/names = ["localhost"]/' "$client/proxy.toml"
compose cp "$client/proxy.toml" init:/etc/tidegate/proxy.toml 2>/dev/null
for ((i = 0; i < 20; i++)); do
    [[ $(curl --silent --cacert "$client/ca.crt" --output /dev/null --write-out '%{http_code}' https://127.0.0.1/v2/) != 421 ]] || break
    sleep 0.5
done
[[ $(curl --silent --cacert "$client/ca.crt" --output /dev/null --write-out '%{http_code}' https://127.0.0.1/v2/) == 421 ]] ||
    die 'changed settings are not taken up'

step 'restarts while a client pulls'
pulls=0 again=0
pull() {
    local tries=0
    docker rmi localhost/team/app:one >/dev/null 2>&1 || true
    docker rmi test >/dev/null 2>&1 || true
    until docker pull --quiet localhost/team/app:one >/dev/null 2>"$client/pull"; do
        tries=$((tries + 1)) again=$((again + 1))
        ((tries < 10)) || die "a pull failed ten times: $(<"$client/pull")"
        cat "$client/pull"
        sleep 1
    done
    pulls=$((pulls + 1))
}
digest=$(docker inspect --format '{{.Id}}' localhost/team/app:one)
for service in registry tidegate registry tidegate; do
    compose restart "$service" >/dev/null 2>&1 &
    restart=$!
    while kill -0 "$restart" 2>/dev/null; do
        pull
    done
    wait "$restart"
    pull
    [[ $(docker inspect --format '{{.Id}}' localhost/team/app:one) == "$digest" ]] || die 'another image came'
    printf 'restarted %s\n' "$service"
done
printf '%d pulls, %d of them tried again, none lost\n' "$pulls" "$again"
compose down --volumes --timeout 20 2>&1 | tail -n 3

step 'another name and port'
echo '192.0.2.1 registry.example.test' >>/etc/hosts
export TIDEGATE_NAME=registry.example.test TIDEGATE_PORT=5043
up
compose logs init | tail -n 12
install -D -m 644 "$client/ca.crt" /etc/docker/certs.d/registry.example.test:5043/ca.crt
docker build --quiet --tag test - >/dev/null <<<'FROM scratch
LABEL some=thing'
use registry.example.test:5043
compose down --volumes --timeout 20 2>&1 | tail -n 1
[[ -z $(docker volume ls --quiet) && -z $(docker ps --all --quiet) ]] || die 'something is left'
printf 'done after %d s\n' $((SECONDS - started))
