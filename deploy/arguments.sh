# shellcheck shell=bash
# For scripts, to be sourced. The script has a function `usage`.
#
#   check_arguments LEAST MOST "$@"
#
# Prints the usage for -h and --help. Another option, or another number of arguments, ends the script
# with 64.
check_arguments() {
    local least=$1 most=$2
    shift 2
    case ${1-} in
        -h | --help)
            usage
            exit 0
            ;;
    esac
    if (($# < least || $# > most)) || [[ ${1-} == -* ]]; then
        printf '%s: wrong arguments: %s\n\n' "$0" "$*" >&2
        usage >&2
        exit 64
    fi
}
