"""Network addresses as people write them: PORT, HOST:PORT, [::1]:PORT."""

from __future__ import annotations

import argparse
import re
import socket
import struct
from dataclasses import dataclass
from ipaddress import IPv6Address

LOOPBACK = "127.0.0.1"
LONGEST_HOST = 253  # characters of a name in the DNS
_LABELS = re.compile(r"(?!-)[\w-]+(?<!-)(\.(?!-)[\w-]+(?<!-))*\.?", re.ASCII)
# What a connection that cannot be made raises: the system's errors, and those of Python about a
# name or a packet that it cannot write down, of which UnicodeError is one.
CONNECTION_ERRORS = (OSError, ValueError, OverflowError, struct.error)


@dataclass(frozen=True)
class Address:
    """A host and a port.

    Attributes:
        host: a name or an IP address, without brackets.
        port: 0 to 65535.

    Raises:
        ValueError: a host that no lookup will ever find.
    """

    host: str
    port: int

    def __post_init__(self) -> None:
        if not _is_possible(self.host):
            raise ValueError(
                f"`host` must be an IP address, or a name of up to {LONGEST_HOST} characters whose "
                f"labels have 1 to 63 each. Received: host={self.host!r}"
            )

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def listening_address(text: str) -> Address:
    """`[HOST:]PORT` -> the address to listen at, on this machine only unless a host is given."""
    return _parse(text, "[HOST:]PORT", lowest_port=0)


def receiving_address(text: str) -> Address:
    """`HOST:PORT` -> the address of a receiver."""
    return _parse(text, "HOST:PORT", lowest_port=1)


def broker_address(text: str) -> Address:
    """`HOST[:PORT]` -> the address of an MQTT broker; port 0 stands for the default port."""
    return _parse(text, "HOST[:PORT]", lowest_port=1)


def host_name(text: str) -> str:
    """`NAME` -> the name as a browser asks for it: small ASCII letters, `xn--` for others."""
    if _is_possible(text) and ":" not in text:
        name = text.encode("idna").decode("ascii").lower()
        if _LABELS.fullmatch(name):
            return name
    raise argparse.ArgumentTypeError(
        "must be a host name without scheme and port, such as doa.example: letters, digits, "
        f"hyphens and underscores between its dots. Received: {text!r}"
    )


def microphone_name(text: str) -> str:
    """A name that a host, a topic, an OSC address, a file and a systemd unit can have.

    That is one label of a host name (RFC 1123).
    """
    if not re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?", text):
        raise argparse.ArgumentTypeError(
            "must have 1 to 63 letters a to z, digits and hyphens, and no hyphen first or last. "
            f"Received: {text!r}"
        )
    return text


def _parse(text: str, allowed: str, *, lowest_port: int) -> Address:
    """The address, in a layout whose parts in brackets may be left out."""
    needs_host, needs_port = not allowed.startswith("["), not allowed.endswith("]")
    host, colon, port_text = text.rpartition(":")
    if text.endswith("]") or not (colon or needs_port):
        host, port_text = text, ""
    bracketed = host.startswith("[") and host.endswith("]")
    if bracketed:
        host = host[1:-1]
    host = host or ("" if needs_host else LOOPBACK)
    digits = port_text.isascii() and port_text.isdecimal() and len(port_text) < 6
    port = int(port_text) if digits else -1
    may_lack_port = not (port_text or needs_port)
    if may_lack_port:
        port = 0
    wrong_port = not may_lack_port and not lowest_port <= port <= 65_535
    if wrong_port or (":" in host and not bracketed) or not _is_possible(host):
        raise argparse.ArgumentTypeError(
            f"must be {allowed} with a port from {lowest_port} to 65535 "
            f"(an IPv6 host in brackets) and a host that can exist. Received: {text!r}"
        )
    return Address(host, port)


def _is_possible(host: str) -> bool:
    """Whether a host may be found some day: an IP address, or a name that can be looked up."""
    if not 0 < len(host) <= LONGEST_HOST or not host.isprintable() or " " in host:
        return False
    try:
        if ":" in host:
            IPv6Address(host)
            return True
        name = host.encode("idna").decode("ascii")
        if name.replace(".", "").isdecimal():  # 300.1.1.1
            socket.inet_aton(name)
    except (ValueError, OSError):  # UnicodeError, too
        return False
    return True
