#!/usr/bin/env bash
# What tests/package/run.sh does in the machine, with the registry of Debian.
set -euo pipefail

login=alice:correct-horse
blob=/var/tmp/package-test/blob
# 128 MiB, at 4 MiB/s: longer than an upgrade takes.
size=128

ask() { curl --silent --show-error --cacert /etc/tidegate/ca/ca.crt --user "$login" "$@"; }

case $1 in
    configure)
        mkdir /var/tmp/package-test
        printf '%s\n' 'version: 0.1' 'storage: {filesystem: {rootdirectory: /var/tmp/package-test/registry}}' \
            'http: {addr: "127.0.0.1:5001"}' >/var/tmp/package-test/registry.yml
        systemd-run --quiet --unit package-test docker-registry serve /var/tmp/package-test/registry.yml
        (umask 077 && printf '%s\n' "${login#*:}" >/var/tmp/package-test/password)
        tidegate init --yes --name localhost --certificate self --registry http://127.0.0.1:5001 \
            --user "${login%:*}" --password-file /var/tmp/package-test/password --listen 0.0.0.0:443 /etc/tidegate
        # All of it belongs to the service.
        if find /etc/tidegate -user root | grep .; then exit 1; fi
        runuser -u tidegate -- tidegate check --config /etc/tidegate/proxy.toml
        ;;
    push)
        head -c "${size}M" /dev/urandom >"$blob"
        digest=sha256:$(sha256sum "$blob" | cut -d ' ' -f 1)
        place=$(ask --include --request POST https://localhost/v2/team/app/blobs/uploads/ |
            tr -d '\r' | sed -n 's/^location: //Ip')
        [[ -n $place ]]
        separator='?'
        [[ $place != *\?* ]] || separator='&'
        ask --fail --upload-file "$blob" --header 'Content-Type: application/octet-stream' "$place${separator}digest=$digest"
        ;;
    pull)
        digest=$(sha256sum "$blob" | cut -d ' ' -f 1)
        pulled=$(ask --fail --limit-rate "${2-0}" "https://localhost/v2/team/app/blobs/sha256:$digest" | sha256sum)
        [[ ${pulled%% *} == "$digest" ]] || { echo "wrong digest: $pulled" >&2; exit 1; }
        ;;
    # Runs a command while a client pulls slowly and others ask one after the other.
    during)
        shift
        bash "$0" pull 4M &
        pull=$!
        touch /var/tmp/package-test/asking
        (
            count=0
            while [[ -e /var/tmp/package-test/asking ]]; do
                status=$(ask --max-time 5 --output /dev/null --write-out '%{http_code}' https://localhost/v2/) || true
                [[ $status == 200 ]] || { echo "request $count: $status" >&2; exit 1; }
                count=$((count + 1))
            done
            echo "$count requests, each answered with 200"
        ) &
        asking=$!
        sleep 1
        "$@"
        kill -0 "$pull" || { echo 'the pull ended too early to say anything' >&2; exit 1; }
        wait "$pull"
        rm /var/tmp/package-test/asking
        wait "$asking"
        ;;
    # The unit is stopped, which lets a pull end.
    leaving)
        shift
        bash "$0" pull 8M &
        pull=$!
        sleep 2
        "$@"
        wait "$pull"
        ;;
    manual)
        for page in tidegate tidegate-serve tidegate.toml; do
            text=$(MANWIDTH=100 man "$page" 2>/var/tmp/package-test/man | col -b)
            [[ $text == *NAME*DESCRIPTION* || $text == *NAME*SYNOPSIS* ]] || { echo "man $page: $text" >&2; exit 1; }
            [[ ! -s /var/tmp/package-test/man ]] || { cat /var/tmp/package-test/man >&2; exit 1; }
        done
        man --whatis tidegate tidegate.toml
        ;;
    completions)
        # As an interactive shell does it, up to the key.
        found=$(bash -c '
            source /usr/share/bash-completion/bash_completion
            _comp_load tidegate 2>/dev/null || _completion_loader tidegate || true
            COMP_WORDS=(tidegate he) COMP_CWORD=1
            "$(complete -p tidegate | sed "s/.*-F \([^ ]*\).*/\1/")" tidegate he tidegate
            printf "%s\n" "${COMPREPLY[@]}"
        ')
        [[ $found == *health* ]] || { echo "bash: $found" >&2; exit 1; }
        found=$(zsh -f <<'END'
            zmodload zsh/zpty
            zpty shell zsh -f -i
            # The shell echoes the line, so the word is not in it.
            zpty -w shell 'PROMPT=; autoload -U compinit; compinit -D; print read''y'
            zpty -r -m shell seen '*ready*'
            zpty -w -n shell $'tidegate heal\t'
            for attempt in {1..100}; do
                sleep 0.1
                while zpty -r -t shell part; do all+=$part; done
                [[ $all != *health* ]] || break
            done
            print -r -- $all
            zpty -d shell
END
        )
        [[ $found == *'tidegate health'* ]] || { echo "zsh: $found" >&2; exit 1; }
        ;;
    removed)
        [[ ! -e /usr/bin/tidegate && -e /etc/tidegate/proxy.toml && -e /etc/tidegate/certs ]]
        # One of them is enough to succeed, and so is an answer.
        if systemctl --quiet is-active tidegate.service tidegate.socket; then exit 1; fi
        if ask --max-time 5 https://localhost/v2/ 2>/dev/null; then exit 1; fi
        systemctl stop package-test
        rm -rf /var/tmp/package-test
        ;;
esac
