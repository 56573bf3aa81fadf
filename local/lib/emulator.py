"""The AWS emulator: Ministack's application on a server whose event loop and parser are compiled. Its own server is
written in Python, and takes twice the time for a request. Beside it, what functions of tests ask for is recorded."""

import gc
import os
import resource

import uvicorn
from ministack.app import app

from recorded_calls import Recording

# Of all that it keeps little is garbage: look for it less often.
gc.set_threshold(100_000, 20, 100)

# A connection is a file, and tests open thousands.
_, most = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))

uvicorn.run(
    Recording(app, os.environ["RECORDED_CALLS"]),
    host=os.environ["BIND_HOST"],
    port=int(os.environ["GATEWAY_PORT"]),
    loop="uvloop",
    http="httptools",
    ws="none",
    timeout_keep_alive=75,
    timeout_graceful_shutdown=3,
    access_log=False,
    server_header=False,
    date_header=False,
    log_level="warning",
)
