"""A page that greets. `python3 app.py --once` answers one request of its own and ends."""

import os
import sys
import threading
import urllib.request
from wsgiref.simple_server import make_server

import bottle

app = bottle.Bottle()


@app.get("/hello/<name>")
def hello(name):
    return f"Hello, {name}!"


def main():
    server = make_server("127.0.0.1" if "--once" in sys.argv else "0.0.0.0", int(os.environ["PORT"]), app)
    if "--once" not in sys.argv:
        server.serve_forever()
    threading.Thread(target=server.handle_request).start()
    with urllib.request.urlopen(f"http://127.0.0.1:{server.server_port}/hello/world") as answer:
        print(answer.read().decode())


if __name__ == "__main__":
    main()
