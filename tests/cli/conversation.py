"""Talks with 'mythos generate' through a terminal of its own: conversation.py RUN"""
import os
import pty
import re
import select
import signal
import sys
import time

CONTROL = re.compile(rb"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b[()][A-Z0-9]|\x1b[=>]|[\x07\x0f]")


class Terminal:
    def __init__(self, run, **variables):
        self.child, self.end = pty.fork()
        if self.child == 0:
            os.environ.update({"TERM": "xterm", **variables})
            os.execvp("mythos", ["mythos", "generate", "--checkpoint", run, "--max-tokens", "4", "--temperature", "0"])
        self.seen = b""
        self.expect("> ", "the prompt")

    def read(self, seconds):
        if select.select([self.end], [], [], seconds)[0]:
            try:
                self.seen += os.read(self.end, 65536)
                return True
            except OSError:  # the other end is closed
                pass
        return False

    def expect(self, text, what):
        """Waits until the text is on the terminal, and forgets what came up to its end."""
        until = time.monotonic() + 60
        while text.encode() not in CONTROL.sub(b"", self.seen):
            if time.monotonic() > until:
                sys.exit(f"waited in vain for {what}; there was {self.seen[-500:]!r}")
            self.read(0.1)
        plain = CONTROL.sub(b"", self.seen)
        self.seen = plain[plain.index(text.encode()) + len(text.encode()):]

    def type(self, text):
        data = text.encode()
        while data:  # a terminal takes some thousand bytes until they are read
            written = os.write(self.end, data[:1024])
            data = data[written:]
            self.read(0.001)

    def say(self, text):
        """A whole line; the number of tokens that it made."""
        self.type(text + "\r")
        self.expect("prompt ", f"the answer to {text[:20]!r}")
        self.expect(" tokens", "its length")
        self.expect("> ", "the prompt")

    def status(self):
        while self.read(5):
            pass
        return os.waitstatus_to_exitcode(os.waitpid(self.child, 0)[1])


def main(run):
    terminal = Terminal(run)
    terminal.say("The miller")
    terminal.say("Ünïcödé 昔々\x1b[D\x1b[D\x7f")  # two to the left, and one before them away
    terminal.type("\x1b[A\x1b[A\x01An old fox and \r")  # two lines back, to its beginning
    terminal.expect("stopped: max_tokens", "the answer to a line that was called back")
    terminal.expect("> ", "the prompt")
    # Longer than the terminal's own lines may be: too long for the model, but whole.
    terminal.type("x" * 10000 + "\r")
    terminal.expect("the prompt has ", "a message")
    terminal.expect("> ", "the prompt")
    # What is typed meanwhile is kept.
    terminal.type(":max 3\r:help\r")
    terminal.expect("Each line is a prompt", "the help")
    terminal.expect("> ", "the prompt")
    terminal.type("dropped")
    terminal.expect("dropped", "what was typed")
    terminal.type("\x03")
    terminal.expect("> ", "the prompt behind a line that was dropped")
    terminal.type("\x04")
    print("Ctrl-D:", terminal.status())
    terminal = Terminal(run)
    terminal.type("\x12miller\r")  # found in what was typed before
    terminal.expect("stopped: max_tokens", "the answer to a line of an earlier conversation")
    terminal.expect("> ", "the prompt")
    terminal.type("\x03")
    print("Ctrl-C:", terminal.status() == -signal.SIGINT)
    terminal = Terminal(run, TERM="dumb")
    terminal.type("plain\n")
    terminal.expect("stopped: max_tokens", "the answer")
    terminal.type(":quit\n")
    print("dumb:", terminal.status())


main(sys.argv[1])
