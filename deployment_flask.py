"""The name that existing deployments start: ``gunicorn deployment_flask:app`` and the like.

``python deployment_flask.py`` serves as ``propensia serve`` does.
"""

if __name__ == "__main__":
    from propensia.__main__ import main

    main(["serve"])
elif __name__ != "__mp_main__":  # a worker of the line above imports this file once more
    from propensia.web.app import create_app

    app = create_app()
