#!/usr/bin/env bash
# slapd 2.5.13+dfsg-5 (Debian 12): password policies lock nobody if the database has no rootdn.
#
# slapo-ppolicy(5) says that the overlay requires a rootdn. One would expect slapd to refuse settings
# without one, or to warn. slaptest succeeds, slapd starts and says nothing, the policy is read, and wrong
# passwords are counted: pwdFailureTime has a value for each. But what would lock the account is lost: that
# change also sets pwdAccountLockedTime, access rules apply to this attribute, and without a rootdn the
# overlay writes as nobody. So the account stays one short of the limit for good, and is never locked.
# What helps is any rootdn; it needs no password and no entry. Seen:
#
#   without a rootdn: slaptest succeeds, 10 wrong passwords, counted: 2, then the right one: accepted
#   with a rootdn: slaptest succeeds, 10 wrong passwords, counted: 3, then the right one: Invalid credentials (49)
#
# The policy has pwdLockout TRUE and pwdMaxFailure 3.
set -euo pipefail
self=$(realpath "$0")
work=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server"; rm -rf "$work"' EXIT
export LDAPNOINIT=1

cd "$work"
apt-get download -qq slapd=2.5.13+dfsg-5 ldap-utils=2.5.13+dfsg-5 libldap-2.5-0=2.5.13+dfsg-5 libltdl7 libodbc2 2> apt
for package in *.deb; do dpkg -x "$package" .; done
export LD_LIBRARY_PATH=$work/usr/lib/x86_64-linux-gnu
cat > entries.ldif <<'LDIF'
dn: dc=test
objectClass: dcObject
objectClass: organization
o: test
dc: test

dn: cn=policy,dc=test
objectClass: device
objectClass: pwdPolicy
cn: policy
pwdAttribute: userPassword
pwdLockout: TRUE
pwdMaxFailure: 3

dn: cn=alice,dc=test
objectClass: person
cn: alice
sn: alice
userPassword: right
LDIF

try() { # TITLE LINE-OF-THE-DATABASE
    rm -rf data && mkdir data
    cat > slapd.conf <<CONF
include $work/etc/ldap/schema/core.schema
include $work/etc/ldap/schema/cosine.schema
modulepath $work/usr/lib/ldap
moduleload back_mdb
moduleload ppolicy
database mdb
directory $work/data
suffix "dc=test"
$2
access to attrs=userPassword by anonymous auth
access to * by * read
overlay ppolicy
ppolicy_default "cn=policy,dc=test"
CONF
    local tested=succeeds kept said
    usr/sbin/slapd -T add -f slapd.conf -l entries.ldif > added 2>&1
    usr/sbin/slapd -T test -f slapd.conf > tested 2>&1 || tested=fails
    usr/sbin/slapd -d 0 -f slapd.conf -h "ldapi://${work//\//%2F}%2Fsocket" > log 2>&1 &
    server=$!
    until client ldapsearch -b '' -s base > answer 2>&1; do kill -0 "$server"; sleep 0.1; done
    for _ in {1..10}; do bind wrong > answer 2>&1 || true; done
    kept=$(client ldapsearch -LLL -b cn=alice,dc=test -s base pwdFailureTime | grep -c '^pwdFailureTime' || true)
    said=$(bind right 2>&1) && said=accepted
    echo "$1: slaptest $tested, 10 wrong passwords, counted: $kept, then the right one: ${said##*ldap_bind: }"
    kill "$server" && wait "$server" || true
    server=
}
client() { "usr/bin/$1" -x -H "ldapi://${work//\//%2F}%2Fsocket" "${@:2}"; }
bind() { client ldapsearch -D cn=alice,dc=test -w "$1" -b '' -s base; }

{
    try 'without a rootdn' ''
    try 'with a rootdn' 'rootdn "cn=nobody,dc=test"'
} > seen
cat seen
sed -n 's/^#   //p' "$self" | diff - seen && echo 'as described'
