# SPDX-License-Identifier: GPL-2.0
"""What looks for tarpits, after its published rules, in our own words.

`peer(**how)` makes a fresh `lab.Puppet` that talks to the port in question.
"""

import wire

# A window that is taken for a tarpit's, in octets.
SMALL = 20


def degreaser(peer):
    """Degreaser (Alt, Beverly, Dainotti: Uncovering Network Tarpits with Degreaser, ACSAC 2014).

    An offer of every option, then an ACK, then data that just fits; each step only for whom the one
    before leaves in doubt.
    """
    probe = peer(ts=False)
    probe.send(
        "S", -1, opts=b"\4\2" + b"\3\3\7" + b"\x08\x0a" + bytes(8) + wire.options(1234) + b"\0"
    )
    syn_ack = probe.reply()
    if not syn_ack or syn_ack.flags != "SA":
        return "closed"
    # Tarpits of that time answer without any option, or with MSS alone.
    if set(wire.option_kinds(syn_ack.options)) not in (set(), {2}) or syn_ack.window > SMALL:
        return "real host"
    probe.their_isn = syn_ack.seq
    probe.send("A")
    if ack := probe.reply():
        if "R" in ack.flags:
            return "DELUDE"
        if ack.window == 0:
            return "TARPIT"
        if syn_ack.window == 0:
            return "zero window"
    probe.send("A", payload=b"?" * (syn_ack.window - 1))
    return "real host" if probe.reply() else "LaBrea"


def notarpit(peer):
    """The match of degreaser-iptables, by which a client resets its connections to tarpits."""
    for opts in (None, b""):
        probe = peer()
        probe.send("S", -1, opts=opts)
        syn_ack = probe.reply()
        if (
            syn_ack
            and syn_ack.flags == "SA"
            and not syn_ack.options
            and 0 < syn_ack.window <= SMALL
        ):
            return True
    return False


def nessus_10796(peer):
    """The LaBrea plugin of Nessus and OpenVAS (script 10796).

    An octet of no connection, twice, is acknowledged by a tarpit; LaBrea's window to a bare SYN is
    10. The plugin ends when the octets get no answer; here it goes on, which finds more.
    """
    probe = peer(ts=False, isn=537)
    for _ in range(2):
        probe.send("A", payload=b"H", ack=0xFF67, window=2048)
        reply = probe.reply()
    if reply:
        return "R" not in reply.flags and "A" in reply.flags and reply.window <= 10
    probe.send("S", -1, window=2048)
    reply = probe.reply()
    return bool(reply) and reply.flags == "SA" and reply.window == 10


ALL = (degreaser, notarpit, nessus_10796)


def verdicts(peer):
    """What each of them says."""
    return {detector.__name__: detector(peer) for detector in ALL}
