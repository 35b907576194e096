#!/usr/bin/env bash
# What tests/package/run.sh does in the machine. The registry is that of Debian.
set -euo pipefail

login=alice:correct-horse
blob=/var/tmp/blob
# 64 MiB, at 8 MiB/s: longer than an upgrade takes.
size=64

ask() { curl --silent --show-error --cacert /etc/tidegate/certs/ca.crt --user "$login" "$@"; }

case $1 in
    configure)
        systemctl start docker-registry
        printf '%s\n' "${login#*:}" | tidegate init /etc/tidegate --name localhost --certificate self \
            --registry http://127.0.0.1:5000 --user "${login%:*}"
        tidegate check --config /etc/tidegate/proxy.toml
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
        bash "$0" pull 8M &
        pull=$!
        touch /var/tmp/asking
        (
            count=0
            while [[ -e /var/tmp/asking ]]; do
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
        rm /var/tmp/asking
        wait "$asking"
        ;;
    manual)
        for page in tidegate tidegate-serve tidegate.toml; do
            text=$(MANWIDTH=100 man "$page" 2>/var/tmp/man | col -b)
            [[ $text == *NAME*DESCRIPTION* || $text == *NAME*SYNOPSIS* ]] || { echo "man $page: $text" >&2; exit 1; }
            [[ ! -s /var/tmp/man ]] || { cat /var/tmp/man >&2; exit 1; }
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
            zpty -w shell 'PROMPT=; autoload -U compinit; compinit -D; zstyle ":completion:*" list-prompt ""; LISTMAX=999; print ready'
            zpty -r -m shell seen '*ready*ready*'
            zpty -w -n shell $'tidegate heal\t'
            sleep 2
            zpty -r -t shell seen
            print -r -- $seen
END
        )
        [[ $found == *'tidegate health'* ]] || { echo "zsh: $found" >&2; exit 1; }
        ;;
    removed)
        [[ ! -e /usr/bin/tidegate && -e /etc/tidegate/proxy.toml && -e /etc/tidegate/certs ]]
        ! pgrep tidegate
        ! ask --max-time 5 https://localhost/v2/ 2>/dev/null
        rm -f "$blob" /var/tmp/man
        systemctl stop docker-registry
        rm -rf /var/lib/docker-registry/docker
        ;;
esac
