"""Runs the bare Flask route under Propensia's own default server, set as Propensia sets it.

It must never set anything that Propensia does not.
"""

import sys

from propensia.web.servers import Listen, run

if __name__ == "__main__":
    listen = Listen("127.0.0.1", int(sys.argv[1]))
    run("granian", "benchmarks.baselines.bare_flask:create_app", listen)
