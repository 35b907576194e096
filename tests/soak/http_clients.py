"""One connection to tidegate over HTTP/1.1 or HTTP/2, for a client that may be slow or may vanish."""

import json
import select
import socket
import ssl
import struct

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions

# No wait of a client is longer: every limit of tidegate in these runs is far below it, and a busy
# machine needs a margin.
PATIENCE = 60.0


class Cut(Exception):
    """The answer ended before its end, or there was none."""


class Hung(Exception):
    """Neither an answer nor an error within PATIENCE."""


class Wrong(Exception):
    """Something that no fault excuses."""


class Vanished(Exception):
    """This client leaves on purpose."""


class Answer:
    """A complete answer."""

    def __init__(self, status, fields, body):
        self.status, self.fields, self.body = status, fields, body

    def __str__(self):
        try:
            message = json.loads(self.body)["errors"][0]
            return f"{self.status} {message.get('code')}: {message.get('message')}"
        except (ValueError, LookupError, TypeError, AttributeError):
            return f"{self.status} {self.body[:80]!r}"


class Pace:
    """How a client moves bytes: `piece` at once, `delay` seconds after each. It vanishes once it has
    moved `after` bytes in the direction `vanish`, "push" or "pull"."""

    def __init__(self, run, piece=65536, delay=0.0, vanish=None, after=0, chunked=False):
        self.run, self.piece, self.delay = run, piece, delay
        self.vanish, self.after, self.chunked = vanish, after, chunked

    def moved(self, direction, total):
        if direction == self.vanish and total >= self.after:
            raise Vanished
        if self.delay:
            self.run.rest(self.delay)
            if self.run.leaving:
                raise Vanished


class Door:
    """How to reach tidegate."""

    def __init__(self, host, port, authority):
        self.port, self.host = port, host
        self.authority = f"{host}:{port}"
        self.origin = f"https://{self.authority}"
        self.contexts = {}
        for protocol in ["h2", "http/1.1"]:
            self.contexts[protocol] = ssl.create_default_context(cafile=authority)
            self.contexts[protocol].set_alpn_protocols([protocol])

    def connect(self, protocol):
        """A TLS connection. No fault excuses one that is refused, or a failed handshake."""
        try:
            plain = socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE)
            connection = self.contexts[protocol].wrap_socket(plain, server_hostname=self.host)
        except TimeoutError:
            raise Hung("no connection") from None
        except OSError as error:
            raise Wrong(f"no connection: {error}") from None
        if connection.selected_alpn_protocol() != protocol:
            raise Wrong(f"no {protocol}, but {connection.selected_alpn_protocol()}")
        return connection


def open_connection(door, protocol):
    return {"HTTP/1.1": Http1, "HTTP/2": Http2}[protocol](door)


class Connection:
    """What both protocols share: a socket whose every wait is bounded."""

    def __init__(self, door, alpn):
        self.door = door
        self.socket = door.connect(alpn)

    def send(self, data):
        try:
            self.socket.sendall(data)
        except TimeoutError:
            raise Hung("nothing could be sent") from None
        except OSError as error:
            raise Cut(f"sending: {error}") from None

    def receive(self):
        try:
            data = self.socket.recv(65536)
        except TimeoutError:
            raise Hung("nothing arrived") from None
        except OSError as error:
            raise Cut(f"receiving: {error}") from None
        if not data:
            raise Cut("the connection ended")
        return data

    def readable(self, seconds=0.0):
        return self.socket.pending() > 0 or bool(select.select([self.socket], [], [], seconds)[0])

    def close(self):
        self.socket.close()

    def reset(self):
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()


class Http1(Connection):
    protocol = "HTTP/1.1"

    def __init__(self, door):
        super().__init__(door, "http/1.1")
        self.buffer = b""

    def exchange(self, method, path, fields, body, pace):
        lines = [f"{method} {path} HTTP/1.1", f"Host: {self.door.authority}"]
        lines += [f"{name}: {value}" for name, value in fields]
        if body is not None:
            lines.append("Transfer-Encoding: chunked" if pace.chunked else f"Content-Length: {len(body)}")
        self.send("\r\n".join([*lines, "", ""]).encode())
        if body is not None:
            try:
                self.send_body(body, pace)
            except Cut as cut:
                # An early answer says why.
                try:
                    return self.read_answer(method, pace)
                except Cut:
                    raise cut from None
        return self.read_answer(method, pace)

    def send_body(self, body, pace):
        pace.moved("push", 0)
        for start in range(0, len(body), pace.piece):
            piece = body[start : start + pace.piece]
            self.send(b"%x\r\n%b\r\n" % (len(piece), piece) if pace.chunked else piece)
            pace.moved("push", start + len(piece))
        if pace.chunked:
            self.send(b"0\r\n\r\n")

    def read_answer(self, method, pace):
        pace.moved("pull", 0)
        head = self.take_until(b"\r\n\r\n").decode("latin-1").split("\r\n")
        status = int(head[0].split(" ", 2)[1])
        fields = {}
        for line in head[1:]:
            name, _, value = line.partition(":")
            fields[name.lower()] = value.strip()
        if status < 200:
            return self.read_answer(method, pace)
        if method == "HEAD" or status in (204, 304):
            body = b""
        elif fields.get("transfer-encoding") == "chunked":
            body = self.read_chunks(pace)
        elif "content-length" in fields:
            body = self.take(int(fields["content-length"]), pace)
        else:
            raise Wrong(f"{method}: an answer {status} without a length")
        if fields.get("connection", "").lower() == "close":
            self.buffer = b""
        return Answer(status, fields, body)

    def read_chunks(self, pace):
        body = b""
        while size := int(self.take_until(b"\r\n").split(b";")[0], 16):
            body += self.take(size, pace)
            self.take_until(b"\r\n")
        self.take_until(b"\r\n")
        return body

    def take_until(self, end):
        while end not in self.buffer:
            self.buffer += self.receive()
        found, self.buffer = self.buffer.split(end, 1)
        return found

    def take(self, size, pace):
        parts, have = [self.buffer[:size]], min(size, len(self.buffer))
        self.buffer = self.buffer[size:]
        while have < size:
            wanted = min(size - have, pace.piece)
            try:
                part = self.socket.recv(wanted)
            except TimeoutError:
                raise Hung(f"{have} of {size} bytes arrived") from None
            except OSError as error:
                raise Cut(f"after {have} of {size} bytes: {error}") from None
            if not part:
                raise Cut(f"after {have} of {size} bytes")
            parts.append(part)
            have += len(part)
            pace.moved("pull", have)
        return b"".join(parts)


class Stream:
    def __init__(self, number, method):
        self.number, self.method = number, method
        self.status, self.fields, self.parts, self.size = None, {}, [], 0
        self.over, self.why = False, None


class Http2(Connection):
    protocol = "HTTP/2"

    def __init__(self, door):
        super().__init__(door, "h2")
        config = h2.config.H2Configuration(client_side=True, header_encoding="utf-8")
        self.state = h2.connection.H2Connection(config=config)
        self.streams = {}
        self.state.initiate_connection()
        self.flush()

    def exchange(self, method, path, fields, body, pace):
        return self.exchange_all([(method, path, fields, body)], pace)[0]

    def exchange_all(self, requests, pace):
        """Several requests at once. Only the first may have a body."""
        streams = [self.begin(method, path, fields, body is None) for method, path, fields, body in requests]
        if requests[0][3] is not None:
            self.send_body(streams[0], requests[0][3], pace)
        pace.moved("pull", 0)
        while not all(stream.over for stream in streams):
            self.process(pace)
        answers = []
        for stream in streams:
            del self.streams[stream.number]
            if stream.why is not None:
                raise Cut(stream.why)
            answers.append(Answer(stream.status, stream.fields, b"".join(stream.parts)))
        return answers

    def begin(self, method, path, fields, ended):
        stream = Stream(self.state.get_next_available_stream_id(), method)
        pseudo = [(":method", method), (":scheme", "https"), (":authority", self.door.authority), (":path", path)]
        fields = [(name.lower(), value) for name, value in fields]
        try:
            self.state.send_headers(stream.number, pseudo + fields, end_stream=ended)
        except h2.exceptions.ProtocolError as error:
            raise Cut(f"a new stream: {error}") from None
        self.streams[stream.number] = stream
        self.flush()
        return stream

    def send_body(self, stream, body, pace):
        pace.moved("push", 0)
        sent = 0
        while sent < len(body) and not stream.over:
            window = min(self.state.local_flow_control_window(stream.number), self.state.max_outbound_frame_size)
            if window == 0 or self.readable():
                self.process(pace)
                continue
            piece = body[sent : sent + min(window, pace.piece)]
            self.state.send_data(stream.number, piece)
            self.flush()
            sent += len(piece)
            pace.moved("push", sent)
        if not stream.over:
            self.state.end_stream(stream.number)
            self.flush()

    def process(self, pace):
        try:
            events = self.state.receive_data(self.receive())
        except h2.exceptions.ProtocolError as error:
            raise Wrong(f"HTTP/2: {type(error).__name__} {error}") from None
        for event in events:
            self.react(event, pace)
        self.flush()

    def react(self, event, pace):
        if isinstance(event, h2.events.ConnectionTerminated):
            for stream in self.streams.values():
                if event.error_code or stream.number > (event.last_stream_id or 0):
                    self.end(stream, f"GOAWAY {event.error_code}")
            return
        stream = self.streams.get(getattr(event, "stream_id", None))
        if stream is None:
            return
        if isinstance(event, h2.events.ResponseReceived):
            stream.fields = dict(event.headers)
            stream.status = int(stream.fields[":status"])
        elif isinstance(event, h2.events.DataReceived):
            stream.parts.append(event.data)
            stream.size += len(event.data)
            pace.moved("pull", stream.size)
            # A stream that the other end has reset meanwhile needs no window.
            try:
                self.state.acknowledge_received_data(event.flow_controlled_length, stream.number)
            except h2.exceptions.StreamClosedError:
                pass
        elif isinstance(event, h2.events.StreamEnded):
            self.end(stream, None)
        elif isinstance(event, h2.events.StreamReset):
            self.end(stream, f"RST_STREAM {event.error_code} after {stream.size} bytes")

    @staticmethod
    def end(stream, why):
        if not stream.over:
            stream.over, stream.why = True, why

    def cancel(self):
        """Gives up the open streams and keeps the connection."""
        for number in list(self.streams):
            try:
                self.state.reset_stream(number, h2.errors.ErrorCodes.CANCEL)
            except h2.exceptions.ProtocolError:
                pass
        self.streams.clear()
        self.flush()

    def flush(self):
        if data := self.state.data_to_send():
            self.send(data)
