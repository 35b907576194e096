#!/usr/bin/env bash
set -euo pipefail

usage() {
    cat <<'END_OF_USAGE'
Lays out the files of the image of a program that is built already.

  deploy/image/assemble.sh PROGRAM FOLDER

FOLDER must not exist. It gets:

  root             the image: the stripped program, the libraries that it needs, and
                   the certificates of public CAs if this machine has them
  settings         an empty folder, for the settings
  tidegate.debug   the debug symbols

Needs objcopy and ldd. deploy/image/Dockerfile and deploy/image/build.sh call it.
END_OF_USAGE
}

. "$(dirname "${BASH_SOURCE[0]}")/../arguments.sh"
check_arguments 2 2 "$@"
program=$1 folder=$2
root=$folder/root

die() {
    printf 'assemble: %s\n' "$*" >&2
    exit 1
}
[[ -f $program ]] || die "there is no program $program; deploy/build.sh makes one"
[[ ! -e $folder ]] || die "$folder exists; remove it, or name another folder"

mkdir -p "$root/usr/bin" "$root/etc/ssl/certs" "$folder/settings"
objcopy --only-keep-debug "$program" "$folder/tidegate.debug"
# The program names the file with its symbols, so that a debugger finds it.
program=$(realpath "$program")
(cd "$folder" && objcopy --strip-all --add-gnu-debuglink=tidegate.debug "$program" root/usr/bin/tidegate)

# A line of ldd is "NAME => PATH (ADDRESS)", or "PATH (ADDRESS)" for the loader. Each library stays
# where the loader of this machine looks for it.
while read -r library; do
    install -D -m 755 "$library" "$root$library"
done < <(ldd "$program" | sed -nE 's#^(.*=> )?\s*(/\S+) \(0x.*#\2#p')

printf 'tidegate:x:65532:65532:tidegate:/etc/tidegate:/usr/sbin/nologin\n' >"$root/etc/passwd"
printf 'tidegate:x:65532:\n' >"$root/etc/group"
# Docker writes names into /etc/hosts.
printf 'hosts: files dns\n' >"$root/etc/nsswitch.conf"
for bundle in /etc/ssl/certs/ca-certificates.crt /etc/pki/tls/certs/ca-bundle.crt; do
    if [[ -f $bundle ]]; then
        install -m 644 "$bundle" "$root/etc/ssl/certs/ca-certificates.crt"
        break
    fi
done
chmod -R u=rwX,go=rX "$folder"
