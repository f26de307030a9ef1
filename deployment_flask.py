"""The name that existing deployments start: ``gunicorn deployment_flask:app`` and the like.

``python deployment_flask.py`` serves as ``propensia serve`` does.
"""

from propensia.__main__ import main
from propensia.web import create_app

if __name__ == "__main__":
    main(["serve"])
else:
    app = create_app()
