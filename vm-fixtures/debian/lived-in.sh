#!/bin/bash
# Makes a freshly bootstrapped Debian at ROOT look like a machine that has been
# running on VMware for years: the templates of lived-in/ with the constants of
# lived-in.env filled in, the iSCSI database as the guest's own iscsiadm writes
# it, users, identity. ROOT has /proc, /dev and /run mounted.
#
#     lived-in.sh ROOT
set -euo pipefail

here=$(dirname "$(realpath "$0")")
root=${1:?usage: lived-in.sh ROOT}
set -a
# shellcheck source=vm-fixtures/debian/lived-in.env
source "$here/lived-in.env"
set +a

in_guest() {
    chroot "$root" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 "$@"
}

# Replaces @NAME@ by the constant's value, for every constant.
fill() {
    local script='' name
    while IFS='=' read -r name _; do
        script+="s|@$name@|${!name}|g;"
    done < <(grep '^[A-Z]' "$here/lived-in.env")
    sed "$script"
}

templates() {
    local template path
    while IFS= read -r -d '' template; do
        path=$root/$(fill <<<"$template")
        mkdir -p "$(dirname "$path")"
        rm -f "$path" # with the mode that it had
        fill <"$here/lived-in/$template" >"$path"
    done < <(cd "$here/lived-in" && find . -type f -print0 | sort -z)
}

users() {
    in_guest chpasswd <<<"root:$ROOT_PASSWORD"
    in_guest useradd --create-home --shell /bin/bash "$LOGIN_USER"
    in_guest chpasswd <<<"$LOGIN_USER:$LOGIN_PASSWORD"
}

identity() {
    chmod 0444 "$root/etc/machine-id"
    ln -sf /etc/machine-id "$root/var/lib/dbus/machine-id"
    # What systemd-random-seed saved at the last shutdown; any 512 bytes do.
    mkdir -p "$root/var/lib/systemd"
    head -c 512 < <(yes "$OLD_MACHINE_ID") >"$root/var/lib/systemd/random-seed"
    chmod 0600 "$root/var/lib/systemd/random-seed"
    sed -i "s|^#send dhcp-client-identifier .*|send dhcp-client-identifier 01:$OLD_MAC;|" \
        "$root/etc/dhcp/dhclient.conf"
}

# Sets a value in iscsid.conf, removing the comment sign before it.
iscsid_conf() { # -n KEY -v VALUE, as iscsiadm has it
    sed -i "s|^#*\($2\) = .*|\1 = $4|" "$root/etc/iscsi/iscsid.conf"
}

# Gives COMMAND the CHAP settings of KIND, one a call.
chap() { # KIND COMMAND...
    local kind=$1
    shift
    "$@" -n "$kind.auth.authmethod" -v CHAP
    "$@" -n "$kind.auth.username" -v "$CHAP_USER"
    "$@" -n "$kind.auth.password" -v "$CHAP_SECRET"
    "$@" -n "$kind.auth.username_in" -v "$CHAP_USER_IN"
    "$@" -n "$kind.auth.password_in" -v "$CHAP_SECRET_IN"
}

iscsi() {
    cat >"$root/etc/iscsi/initiatorname.iscsi" <<EOF
## DO NOT EDIT OR REMOVE THIS FILE!
## If you remove this file, the iSCSI daemon will not start.
## If you change the InitiatorName, existing access control lists
## may reject this initiator.  The InitiatorName must be unique
## for each iSCSI initiator.  Do NOT duplicate iSCSI InitiatorNames.
InitiatorName=$INITIATOR_IQN
EOF
    chmod 0600 "$root/etc/iscsi/initiatorname.iscsi"
    iscsid_conf -n node.startup -v automatic
    chap discovery.sendtargets iscsid_conf
    chap node.session iscsid_conf

    # iscsiadm writes the records. In a network namespace of its own, so that it
    # cannot ask this machine's iscsid; and without one, it takes no defaults
    # from iscsid.conf.
    local portal=$TARGET_ADDRESS:$TARGET_PORT
    local iscsiadm=(in_guest unshare --net iscsiadm)
    local node=("${iscsiadm[@]}" -m node -T "$TARGET_IQN" -p "$portal,$TARGET_TPGT")
    local discovery=("${iscsiadm[@]}" -m discoverydb -t sendtargets -p "$portal")
    "${iscsiadm[@]}" -m iface -I "$OLD_NIC" -o new
    "${discovery[@]}" -o new
    "${node[@]}" -o new
    "${node[@]}" -o update -n node.startup -v automatic
    chap discovery.sendtargets "${discovery[@]}" -o update
    chap node.session "${node[@]}" -o update

    # What it refuses to write without a running initiator and a target: the
    # adapter's address, and that the node was found by discovery.
    # The records are in /var/lib from trixie on.
    local records=/etc/iscsi place=$TARGET_ADDRESS,$TARGET_PORT
    [[ ! -e $root/var/lib/iscsi/nodes ]] || records=/var/lib/iscsi
    local record=$records/nodes/$TARGET_IQN/$place,$TARGET_TPGT
    local found=$TARGET_IQN,$place,$TARGET_TPGT,default
    sed -i "/^iface.prefix_len/a iface.hwaddress = $OLD_MAC" \
        "$root$records/ifaces/$OLD_NIC" "$root$record/default"
    sed -i "s/^node.discovery_type = .*/node.discovery_type = send_targets/
            s/^node.discovery_port = .*/node.discovery_address = $TARGET_ADDRESS\nnode.discovery_port = $TARGET_PORT/" \
        "$root$record/default"
    rm -r "$root$records/static"
    ln -s "$record" "$root$records/send_targets/$place/$found"
    # The daemon is started by a socket from bookworm on.
    local daemon=iscsid.socket
    [[ -e $root/usr/lib/systemd/system/$daemon || -e $root/lib/systemd/system/$daemon ]] \
        || daemon=iscsid.service
    in_guest systemctl enable open-iscsi.service "$daemon"
}

# Its packages came from anywhere; it updates itself from Debian.
package_source() {
    local suite
    # shellcheck disable=SC1091
    suite=$(source "$root/etc/os-release" && echo "$VERSION_CODENAME")
    echo "deb http://deb.debian.org/debian $suite main" >"$root/etc/apt/sources.list"
}

templates
package_source
users
identity
iscsi
mkdir -p "$root/srv/data" "$root/srv/archive"
