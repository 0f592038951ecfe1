"""A client of wsroom.v1 that loses nothing, says nothing twice, and knows who has said what.

    python client.py ws://127.0.0.1:8080/ws/physics [PAUSE [SESSION]]

It says each line of its input in the room, and prints each message of the room: id, author, text. At the end of its
input it waits until everything is answered, and leaves. It shows no binary messages, only their names. The rules are
those of static/protocol.html. The main thread listens, and a second one reads the input.
"""

import json
import random
import secrets
import sys
import threading
import time

from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException
from websockets.sync.client import connect

NEVER_AGAIN = {1002, 1007, 1008, 1009, 4001}  # Close codes: rule 46, and the table of codes and statuses
LATER = {429, 503}  # statuses
LARGEST_FRAME = 6 * 2**20 + 4096  # rule 38
LONGEST_PAUSE = 30  # seconds, as all pauses


class Client:
    def __init__(self, address, first_pause=1, session=None):
        self.address = address
        self.first_pause = self.pause = float(first_pause)
        self.session = session or secrets.token_urlsafe(16)  # rule 7
        self.newest = None  # the newest id that is known: rule 26
        self.unanswered = {}  # events by ref, the oldest first: rule 15
        self.sent = set()  # the refs of those that have left once
        self.line = None  # the connection, while it is live
        self.lock = threading.RLock()  # of the three above
        self.is_done = False

    def say(self, text):
        with self.lock:
            ref = secrets.token_urlsafe(9)  # rule 14
            self.unanswered[ref] = {"type": "message", "text": text, "ref": ref}
            self.send(ref)

    def send(self, ref):
        """Sends an event, if the line is live. If it breaks, the event is sent again: rule 16."""
        with self.lock:
            if self.line and ref in self.unanswered:
                self.sent.add(ref)
                try:
                    self.line.send(json.dumps(self.unanswered[ref]))
                except ConnectionClosed:
                    self.line = None  # the listener notices too, and comes back

    def answered(self, ref):
        with self.lock:
            self.unanswered.pop(ref, None)
            self.sent.discard(ref)
        self.leave_when_done()

    def leave_when_done(self):
        with self.lock:
            line = self.line if self.is_done and not self.unanswered else None
        if line:
            line.close()  # rule 44: with 1000

    def hear(self, event, line):
        match event["type"]:
            case "welcome":
                self.history = event["history"]
            case "live":
                self.is_live(event, line)
            case "message" | "binary":
                self.newest = event["id"]  # rule 20: larger than all before
                told = event["text"] if "text" in event else f'[{event["name"]}]'
                print(event["id"], event["from"]["name"], told, flush=True)
                self.answered(event.get("ref"))  # rule 18: only one's own have it
            case "act":
                self.newest = event["id"]  # rule 50: it has its place among the messages
                print(event["id"], event["said"], flush=True)
            case "kept":
                self.answered(event["ref"])  # rule 17
            case "error" if event["retry"] and "ref" in event:
                threading.Timer(1, self.send, [event["ref"]]).start()  # rule 43
            case "error":
                complain(f'refused: {event["detail"]}')
                self.answered(event.get("ref"))
            case _:
                pass  # news of members, and types that are not known here: rule 4

    def is_live(self, event, line):
        self.newest = event["last"] if self.newest is None else self.newest  # rule 26
        self.pause = self.first_pause
        if not event["complete"]:
            complain("some messages are missing here")  # rule 25
        with self.lock:
            if not event["complete"] or self.history == 0:
                for ref in self.sent:  # rule 19
                    complain(f'nobody knows whether this was heard: {self.unanswered.pop(ref)["text"]}')
                self.sent.clear()
            self.line = line
            for ref in list(self.unanswered):
                self.send(ref)  # rule 16
        self.leave_when_done()

    def listen(self):
        """One connection, to its end, which is always an exception."""
        since = "" if self.newest is None else f"&since={self.newest}"
        address = f"{self.address}?session={self.session}{since}"
        with connect(address, subprotocols=["wsroom.v1"], max_size=LARGEST_FRAME) as line:
            if line.subprotocol != "wsroom.v1":
                sys.exit("this server does not speak wsroom.v1")  # rule 1
            while True:
                frame = line.recv()
                self.hear(json.loads(frame if isinstance(frame, str) else frame.partition(b"\n")[0]), line)  # rule 3

    def run(self):
        while not self.is_done or self.unanswered:
            wait = random.uniform(0, self.pause)  # rule 45
            self.pause = min(2 * self.pause, LONGEST_PAUSE)
            try:
                self.listen()
            except InvalidStatus as refused:
                if refused.response.status_code not in LATER:
                    sys.exit(f"refused: {refused}")
                wait = max(wait, int(refused.response.headers.get("Retry-After", 1)))
            except ConnectionClosed as closed:
                code = closed.rcvd.code if closed.rcvd else 1006
                if code in NEVER_AGAIN:
                    sys.exit(f"not coming back: {closed}")
                wait = max(wait, 1 if code == 1013 else 0)
            except (OSError, EOFError, WebSocketException) as error:
                complain(f"no connection: {error}")
            with self.lock:
                self.line = None
            if not self.is_done or self.unanswered:
                time.sleep(wait)


def complain(words):
    print(words, file=sys.stderr, flush=True)


def read_input(client):
    for text in sys.stdin:
        client.say(text.rstrip("\n"))
    client.is_done = True
    client.leave_when_done()


client = Client(*sys.argv[1:])
threading.Thread(target=read_input, args=[client], daemon=True).start()
client.run()
