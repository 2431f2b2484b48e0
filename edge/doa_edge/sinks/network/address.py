"""Network addresses as people write them: PORT, HOST:PORT, [::1]:PORT."""

from __future__ import annotations

import argparse
from dataclasses import dataclass

LOOPBACK = "127.0.0.1"


@dataclass(frozen=True)
class Address:
    """A host and a port.

    Attributes:
        host: a name or an IP address, without brackets.
        port: 0 to 65535.
    """

    host: str
    port: int

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
    if not (port_text or needs_port):
        port = lowest_port = 0
    wrong_host = not host or (":" in host and not bracketed) or any(map(str.isspace, host))
    if wrong_host or not _is_sendable(host) or not lowest_port <= port <= 65_535:
        raise argparse.ArgumentTypeError(
            f"must be {allowed} with a port from {lowest_port} to 65535 "
            f"(an IPv6 host in brackets). Received: {text!r}"
        )
    return Address(host, port)


def _is_sendable(host: str) -> bool:
    """Whether a name can be looked up at all: its labels have 1 to 63 characters."""
    try:
        host.encode("idna")
    except UnicodeError:
        return False
    return True
