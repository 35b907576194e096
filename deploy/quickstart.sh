#!/usr/bin/env bash
set -euo pipefail

usage() {
    cat <<'END'
Sets up a container registry behind tidegate on this machine.

  deploy/quickstart.sh           build, start, show how to log in, run until Ctrl-C
  deploy/quickstart.sh --check   build, start, push and pull back a small image, exit

Needs Debian or Ubuntu, and Rust. Installs docker-registry from Debian's packages
when it is missing. Everything else is kept in one folder. A later start keeps the
images, the CA and the password. Delete the folder to begin anew.

Environment:
  TIDEGATE_PORT            port of tidegate, on all addresses      (5043)
  TIDEGATE_REGISTRY_PORT   port of the registry, on 127.0.0.1      (5044, or the next free one)
  TIDEGATE_ADMIN_PORT      port of the status page, on 127.0.0.1   (5045, or the next free one)
  TIDEGATE_HOME            the folder        (quickstart-data in the repository)
END
}

say() { printf '%s\n' "$@"; }

die() {
    printf 'quickstart: %s\n' "$*" >&2
    exit 1
}

repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
port=${TIDEGATE_PORT:-5043}
registry_port=${TIDEGATE_REGISTRY_PORT:-} # empty: the first free one from 5044 on
admin_port=${TIDEGATE_ADMIN_PORT:-}       # empty: the next free one after it
folder=${TIDEGATE_HOME:-$repository/quickstart-data}
# tidegate reads settings from TIDEGATE_<SECTION>_<KEY>; these variables are not settings.
unset TIDEGATE_PORT TIDEGATE_REGISTRY_PORT TIDEGATE_ADMIN_PORT TIDEGATE_HOME

host=localhost:$port
user=testuser
check=false
beat=10               # seconds between two signs of life
binary=               # set by build
registry_pid=         # set by start
tidegate_pid=
scratch=              # a folder for --check
found=                # set by find_free

main() {
    read_arguments "$@"
    check_rust
    "$repository/deploy/install-packages.sh" docker-registry curl cc=build-essential
    choose_ports
    build
    prepare_folder
    trap stop EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
    trap 'exit 129' HUP
    start_registry
    start_tidegate
    prove
    if $check; then
        push_and_pull
        say '' 'Check passed.'
    else
        trap 'say "" "Stopping"; exit 0' INT TERM
        show_how_to_use
        run_until_stopped
    fi
}

read_arguments() {
    case "$*" in
        '') ;;
        --check) check=true ;;
        -h | --help)
            usage
            exit 0
            ;;
        *)
            printf 'quickstart: unknown arguments: %s\n\n' "$*" >&2
            usage >&2
            exit 64
            ;;
    esac
    is_port "$port" || die "TIDEGATE_PORT is '$port'; write a number from 1 to 65535"
    [[ -z $registry_port ]] || is_port "$registry_port" ||
        die "TIDEGATE_REGISTRY_PORT is '$registry_port'; write a number from 1 to 65535"
    [[ -z $admin_port ]] || is_port "$admin_port" ||
        die "TIDEGATE_ADMIN_PORT is '$admin_port'; write a number from 1 to 65535"
    [[ $port != "$registry_port" ]] ||
        die "TIDEGATE_PORT and TIDEGATE_REGISTRY_PORT are both $port; choose two different ports"
    [[ -z $admin_port || $admin_port != "$port" && $admin_port != "$registry_port" ]] ||
        die "TIDEGATE_ADMIN_PORT is $admin_port, which another one has; choose a different port"
}

is_port() { [[ $1 =~ ^[1-9][0-9]{0,4}$ ]] && (($1 <= 65535)); }

# ---- Rust and the binary

check_rust() {
    # rustup's folder is not on the PATH of a shell that was open before rustup was installed.
    if ! command -v cargo >/dev/null && [[ -x ${HOME:-}/.cargo/bin/cargo ]]; then
        PATH=$HOME/.cargo/bin:$PATH
    fi
    local wanted found
    wanted=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' "$repository/Cargo.toml")
    command -v cargo >/dev/null ||
        die "cargo is missing. Install Rust $wanted or newer from https://rustup.rs (Debian's own is older), then start again"
    found=$(rustc --version | cut -d ' ' -f 2)
    [[ $(printf '%s\n' "$wanted" "$found" | sort -V | head -n 1) == "$wanted" ]] ||
        die "Rust $wanted or newer is needed, here is $found. With rustup: rustup update stable"
}

build() {
    local target=${CARGO_TARGET_DIR:-$repository/target}
    say 'Building tidegate; the first time takes some minutes'
    if [[ -t 2 ]]; then
        compile "$target"
    else
        compile "$target" 2>&1 | report_progress
    fi || die 'the build failed; the reason stands above'
    binary=$(cd "$repository" && realpath "$target")/release/tidegate
}

compile() { # the target folder
    (cd "$repository" && cargo build --release --locked --bin tidegate --target-dir "$1")
}

# Without a terminal cargo has no progress bar, but a line for each of 150 crates. A line
# every few seconds takes their place; warnings and errors are shown as they are.
report_progress() {
    local line crates=0 start=$SECONDS next=$beat status
    while true; do
        status=0
        IFS= read -r -t "$beat" line || status=$?
        ((status == 0 || status > 128)) || break # the end of cargo's output
        case $line in
            *' Compiling '*) ((++crates)) ;;
            '' | *' Downloading '* | *' Downloaded '* | *' Updating '* | *' Blocking '* | *' Finished '*) ;;
            *) printf '%s\n' "$line" >&2 ;;
        esac
        if ((SECONDS - start >= next)); then
            say "  $crates crates after $((SECONDS - start)) s; the last one, tidegate itself, takes longest"
            ((next = SECONDS - start + beat))
        fi
    done
}

# ---- The ports

# Clients are told the port of tidegate, so it is never changed silently. Nobody needs to
# know the registry's port, and that of the status page is printed.
choose_ports() {
    refuse_taken "$port" TIDEGATE_PORT
    if [[ -n $registry_port ]]; then
        refuse_taken "$registry_port" TIDEGATE_REGISTRY_PORT
    else
        find_free 5044 TIDEGATE_REGISTRY_PORT "$port" "$admin_port"
        registry_port=$found
    fi
    if [[ -n $admin_port ]]; then
        refuse_taken "$admin_port" TIDEGATE_ADMIN_PORT
    else
        find_free 5045 TIDEGATE_ADMIN_PORT "$port" "$registry_port"
        admin_port=$found
    fi
}

# Leaves the first free port from the first one on in $found.
find_free() { # first port, the variable that chooses another, ports that are to be used otherwise...
    local first=$1 variable=$2
    shift 2
    found=$first
    while [[ " $* " == *" $found "* ]] || is_taken "$found"; do
        ((++found < first + 100)) ||
            die "no port from $first to $((first + 99)) is free; choose one with $variable"
    done
}

refuse_taken() { # port, the variable that moves it
    if is_taken "$1"; then
        die "port $1 is in use by another program. Choose another one: $2=$(($1 < 65000 ? $1 + 100 : 5143)) deploy/quickstart.sh"
    fi
}

is_taken() { (: <"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# ---- The folder: CA, certificate, password, two configuration files

prepare_folder() {
    mkdir -p "$folder" || die "cannot make the folder $folder; choose another with TIDEGATE_HOME"
    folder=$(realpath "$folder")
    # Held until this script and both servers have ended.
    exec {lock}>"$folder/lock" || die "cannot write to $folder; choose another folder with TIDEGATE_HOME"
    flock --nonblock "$lock" ||
        die "another quickstart is running on $folder. Stop it, or choose another folder with TIDEGATE_HOME"

    mkdir -p "$folder"/{auth,certs,registry,trust}
    # The folder holds keys and a password, and may be in a checkout.
    [[ -e $folder/.gitignore ]] || printf '*\n' >"$folder/.gitignore"
    make_certificates
    make_password
    write_settings
}

make_certificates() {
    if [[ ! -e $folder/ca ]]; then
        "$binary" cert ca --out "$folder/ca.new" >/dev/null
        mv "$folder/ca.new" "$folder/ca"
    fi
    # A folder with only the certificate of the CA: podman would take a key beside it for the
    # key of a client certificate.
    cp "$folder/ca/ca.crt" "$folder/trust/ca.crt"

    # Made at every start, because the addresses of the machine may have changed.
    local names=(localhost 127.0.0.1 ::1) name
    for name in "$(hostname)" $(hostname -I); do
        # A link-local address is of no use in a certificate.
        if [[ $name =~ ^[A-Za-z0-9.:-]+$ && $name != localhost && $name != fe80:* ]]; then
            names+=("$name")
        fi
    done
    rm -rf "$folder/certs.new"
    "$binary" cert server --ca "$folder/ca" --out "$folder/certs.new" "${names[@]}" >/dev/null
    rm -rf "$folder/certs"
    mv "$folder/certs.new" "$folder/certs"
}

make_password() {
    local users=$folder/auth/htpasswd file=$folder/auth/password
    if [[ ! -s $file ]]; then
        (umask 077 && od -An -N 12 -t x1 /dev/urandom | tr -d ' \n' >"$file")
    elif grep -q "^$user:" "$users" 2>/dev/null; then
        return # both are from an earlier start
    fi
    # With a line end, as if it were typed.
    { cat "$file" && echo; } | "$binary" htpasswd add "$users" "$user" >/dev/null
}

write_settings() {
    cat >"$folder/proxy.toml" <<END
# Written by deploy/quickstart.sh at every start.
[server]
listen = ["0.0.0.0:$port"]
admin = ["127.0.0.1:$admin_port"]

[tls]
certificate = "certs/domain.crt"
key = "certs/domain.key"

[upstream]
servers = ["http://127.0.0.1:$registry_port"]

[auth]
htpasswd = "auth/htpasswd"
END
    cat >"$folder/registry.yml" <<END
# Written by deploy/quickstart.sh at every start.
version: 0.1
log:
  level: warn
  accesslog:
    disabled: true
storage:
  filesystem:
    rootdirectory: "$folder/registry"
  delete:
    enabled: true
http:
  addr: 127.0.0.1:$registry_port
END
}

# ---- The two servers

start_registry() {
    in_background docker-registry serve "$folder/registry.yml" >"$folder/registry.log" 2>&1 &
    registry_pid=$!
    await registry "$registry_pid" "$folder/registry.log" "http://127.0.0.1:$registry_port/v2/" 200
}

start_tidegate() {
    in_background "$binary" serve --config "$folder/proxy.toml" >"$folder/access.log" 2>"$folder/tidegate.log" &
    tidegate_pid=$!
    await tidegate "$tidegate_pid" "$folder/tidegate.log" "https://$host/v2/" 401
    await tidegate "$tidegate_pid" "$folder/tidegate.log" "http://127.0.0.1:$admin_port/readyz" 200
}

# Its own session keeps the terminal's Ctrl-C away from a server, so that `stop` ends both
# in order. If this script is killed with SIGKILL, they end too.
in_background() { exec setsid setpriv --pdeathsig TERM -- "$@" </dev/null; }

await() { # name, pid, log file, address, the status that shows it is ready
    local deadline=$((SECONDS + 30))
    until [[ $(status_of "$4") == "$5" ]]; do
        if ! kill -0 "$2" 2>/dev/null; then
            tail -n 5 "$3" >&2
            die "$1 did not start; its last words stand above, all of them in $3"
        fi
        if ((SECONDS > deadline)); then
            tail -n 5 "$3" >&2
            die "$1 did not answer $5 on $4 within 30 s; its last words stand above, all of them in $3"
        fi
        sleep 0.1
    done
}

run_until_stopped() {
    local ended=tidegate
    wait -n "$registry_pid" "$tidegate_pid" || true
    kill -0 "$tidegate_pid" 2>/dev/null && ended=registry
    tail -n 5 "$folder/$ended.log" >&2
    die "$ended has ended by itself; its last words stand above, all of them in $folder/$ended.log"
}

# Ends only what this script has started. tidegate ends first: it lets running transfers
# finish, and these need the registry.
stop() {
    local status=$? pid
    for pid in $tidegate_pid $registry_pid; do
        # A second Ctrl-C does not wait for running transfers.
        trap 'kill -TERM "$pid" 2>/dev/null || true' INT TERM HUP
        kill -TERM "$pid" 2>/dev/null || continue
        while kill -0 "$pid" 2>/dev/null; do
            wait "$pid" 2>/dev/null || true
        done
    done
    [[ -z $scratch ]] || rm -rf "$scratch"
    exit "$status"
}

# ---- Proof

# curl that trusts our CA and no proxy of the environment.
request() { curl --silent --show-error --noproxy '*' --max-time 60 --cacert "$folder/trust/ca.crt" "$@"; }

# The same with the password, which must not appear in the list of processes.
request_as_user() {
    request --config <(printf 'user = "%s:%s"\n' "$user" "$(<"$folder/auth/password")") "$@"
}

status_of() { request --output /dev/null --write-out '%{http_code}' "$1" 2>/dev/null || true; }

prove() {
    local without with
    without=$(status_of "https://$host/v2/")
    with=$(request_as_user --output /dev/null --write-out '%{http_code}' "https://$host/v2/") || true
    [[ $without == 401 ]] || die "GET https://$host/v2/ without a password was answered $without instead of 401"
    [[ $with != 401 ]] ||
        die "the password in $folder/auth/password is not the one in htpasswd. Delete that file and start again to get a new one"
    [[ $with == 200 ]] || die "GET https://$host/v2/ with the password was answered $with instead of 200"
    say "GET https://$host/v2/ without password: $without" \
        "GET https://$host/v2/ with password:    $with"
}

# Pushes an image as docker does, a layer in chunks of unknown length and a
# configuration in one piece, pulls it back, and compares byte by byte.
push_and_pull() {
    scratch=$(mktemp -d)
    local name=quickstart/hello config layer file
    date >"$scratch/hello.txt"
    head -c 65536 /dev/urandom >"$scratch/noise"
    tar -C "$scratch" -cf "$scratch/layer.tar" hello.txt noise
    gzip -n -c "$scratch/layer.tar" >"$scratch/layer"
    printf '{"architecture":"amd64","os":"linux","config":{},"rootfs":{"type":"layers","diff_ids":["%s"]}}' \
        "$(digest_of "$scratch/layer.tar")" >"$scratch/config"
    layer=$(digest_of "$scratch/layer")
    config=$(digest_of "$scratch/config")
    printf '{"schemaVersion":2,"mediaType":"%s","config":{"mediaType":"%s","size":%d,"digest":"%s"},"layers":[{"mediaType":"%s","size":%d,"digest":"%s"}]}' \
        application/vnd.oci.image.manifest.v1+json \
        application/vnd.oci.image.config.v1+json "$(stat -c %s "$scratch/config")" "$config" \
        application/vnd.oci.image.layer.v1.tar+gzip "$(stat -c %s "$scratch/layer")" "$layer" \
        >"$scratch/manifest"

    upload "$name" POST 202 "https://$host/v2/$name/blobs/uploads/"
    upload "$name" PATCH 202 "$location" --header 'Content-Type: application/octet-stream' --upload-file - <"$scratch/layer"
    upload "$name" PUT 201 "$(with_digest "$location" "$layer")"
    upload "$name" POST 202 "https://$host/v2/$name/blobs/uploads/"
    upload "$name" PUT 201 "$(with_digest "$location" "$config")" \
        --header 'Content-Type: application/octet-stream' --data-binary "@$scratch/config"
    upload "$name" PUT 201 "https://$host/v2/$name/manifests/check" \
        --header 'Content-Type: application/vnd.oci.image.manifest.v1+json' --data-binary "@$scratch/manifest"
    say '' "Pushed $host/$name:check"

    download "$scratch/manifest" "https://$host/v2/$name/manifests/check" \
        --header 'Accept: application/vnd.oci.image.manifest.v1+json'
    download "$scratch/config" "https://$host/v2/$name/blobs/$config"
    download "$scratch/layer" "https://$host/v2/$name/blobs/$layer"
    say 'Pulled it back, every byte the same:'
    for file in manifest config layer; do
        printf '  %-8s  %s  %6d bytes\n' "$file" "$(digest_of "$scratch/$file")" "$(stat -c %s "$scratch/$file")"
    done
}

digest_of() { printf 'sha256:%s' "$(sha256sum "$1" | cut -d ' ' -f 1)"; }

with_digest() { # an upload's location, a digest
    case $1 in
        *\?*) printf '%s&digest=%s' "$1" "$2" ;;
        *) printf '%s?digest=%s' "$1" "$2" ;;
    esac
}

# One step of a push. Leaves the Location of the answer in $location.
upload() { # repository, method, expected status, address, curl's arguments...
    local repository=$1 method=$2 expected=$3 address=$4 status
    shift 4
    status=$(request_as_user --request "$method" --dump-header "$scratch/head" --output "$scratch/answer" \
        --write-out '%{http_code}' "$@" "$address") || true
    if [[ $status != "$expected" ]]; then
        cat "$scratch/answer" >&2 2>/dev/null || true
        die "the push failed: $method $address was answered $status instead of $expected"
    fi
    location=$(sed -n 's/^[Ll]ocation: \(.*\)\r$/\1/p' "$scratch/head")
    [[ $location == "https://$host/v2/$repository/"* ]] ||
        die "the push failed: the answer to $method $address points to '$location' instead of https://$host/v2/"
}

download() { # the file that was pushed, address, curl's arguments...
    local pushed=$1 address=$2
    shift 2
    request_as_user --fail --output "$scratch/pulled" "$@" "$address" || die "the pull failed: GET $address"
    cmp --silent "$pushed" "$scratch/pulled" || die "the pull failed: $address is not what was pushed"
}

# ---- What to do with it

show_how_to_use() {
    local address trust
    trust=$(printf '%q' "$folder/trust") # as it is typed in a shell
    address=$(hostname -I | cut -d ' ' -f 1)
    cat <<END

tidegate   https://$host${address:+   from other machines: https://$address:$port}
registry   http://127.0.0.1:$registry_port   (this machine only, no password)
status     http://127.0.0.1:$admin_port   (this machine only)
user       $user
password   $(<"$folder/auth/password")   (also in $folder/auth/password)
logs       $folder/{access,tidegate,registry}.log

First, trust the CA. Only docker on this machine works without it: docker accepts any certificate from localhost.
  docker on Linux  sudo install -D -m 644 $trust/ca.crt /etc/docker/certs.d/$host/ca.crt
  Docker Desktop   copy it to ~/.docker/certs.d/$host/ca.crt and restart Docker Desktop
  podman, skopeo   --cert-dir $trust
  curl             --cacert $trust/ca.crt

Then log in and push:
  docker login -u $user $host
  docker tag IMAGE $host/IMAGE && docker push $host/IMAGE

On another machine, write the address of this one instead of localhost, also in the name of the folder.

Running. Ctrl-C stops both.
END
}

main "$@"
