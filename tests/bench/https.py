"""Questions over HTTPS for the bench: targets of GET for h2load, and a client that looks at the answers before anything is counted.

dnsperf stalls in the middle of DoH runs, with every server; h2load only counts statuses. So `check` first sees that they are right answers.
"""

from __future__ import annotations

import base64
import socket
import ssl
from pathlib import Path

import dns.message
import dns.rcode
import h2.config
import h2.connection
import h2.events

Response = tuple[int, str, bytes]
"""Status, media type and body."""


def target(name: str) -> str:
    """The target of a GET that asks for the A records of a name (RFC 8484 §4.1: with id 0)."""
    query = dns.message.make_query(name, "A", id=0, use_edns=False).to_wire()
    return "/dns-query?dns=" + base64.urlsafe_b64encode(query).rstrip(b"=").decode()


def write_targets(path: Path, hits: Path, most: int = 20_000) -> None:
    """Write the first questions of a query file as targets, one a line."""
    with hits.open() as known, path.open("w") as out:
        for _, line in zip(range(most), known, strict=False):
            out.write(target(line.split()[0]) + "\n")


def trusting(*protocols: str) -> ssl.SSLContext:
    """A client that believes every certificate; with ALPN when protocols are named."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if protocols:
        context.set_alpn_protocols(list(protocols))
    return context


def connect(port: int, context: ssl.SSLContext) -> ssl.SSLSocket:
    """A connection over TLS. Raises OSError."""
    return context.wrap_socket(socket.create_connection(("127.0.0.1", port), 5), server_hostname="dns.example")


def ask(stream: ssl.SSLSocket, targets: list[str]) -> list[Response]:
    """Ask by GET, one after the other on one new connection. Raises OSError when it ends too early."""
    client = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True, header_encoding="ascii"))
    client.initiate_connection()
    responses = []
    for path in targets:
        number = client.get_next_available_stream_id()
        fields = {":method": "GET", ":path": path, ":scheme": "https", ":authority": "dns.example", "accept": "application/dns-message"}
        client.send_headers(number, list(fields.items()), end_stream=True)
        status, media_type, body, is_over = 0, "", b"", False
        while not is_over:
            stream.sendall(client.data_to_send())
            if not (data := stream.recv(65_536)):
                raise OSError("the server ended the connection")
            for event in client.receive_data(data):
                if isinstance(event, h2.events.ResponseReceived):
                    head = {str(name): str(value) for name, value in event.headers or ()}
                    status, media_type = int(head[":status"]), head.get("content-type", "")
                elif isinstance(event, h2.events.DataReceived):
                    client.acknowledge_received_data(event.flow_controlled_length or 0, event.stream_id or 0)
                    body += event.data or b""
                is_over |= isinstance(event, h2.events.StreamEnded | h2.events.StreamReset | h2.events.ConnectionTerminated)
        responses.append((status, media_type, body))
    return responses


def check(port: int, hits: Path, number: int = 50) -> None:
    """See that a server gives right DNS answers: 200, the media type, the question, and one address. Raises RuntimeError."""
    with hits.open() as known:
        names = [line.split()[0] for _, line in zip(range(number), known, strict=False)]
    with connect(port, trusting("h2")) as stream:
        responses = ask(stream, [target(name) for name in names])
    for name, (status, media_type, body) in zip(names, responses, strict=True):
        if status != 200 or media_type != "application/dns-message":
            raise RuntimeError(f"{name} over HTTPS: status {status}, {media_type or 'no media type'}")
        reply = dns.message.from_wire(body)
        addresses = [rdata.to_text() for rrset in reply.answer for rdata in rrset]
        is_right = reply.rcode() == dns.rcode.NOERROR and addresses in (["192.0.2.1"], ["0.0.0.0"])
        if not is_right or reply.id != 0 or reply.question[0].name.to_text(omit_final_dot=True) != name:
            raise RuntimeError(f"{name} over HTTPS: a wrong answer: {reply}")
