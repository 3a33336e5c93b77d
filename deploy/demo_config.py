"""The class's JupyterHub on your own laptop, to try it. Not for a class: every seat runs as you.

    jupyterhub -f demo_config.py            # in an empty folder, which takes all that it writes

It listens on this machine alone. Whoever signs up chooses a password and gets a folder in `homes/`.
"""

import os

c = get_config()  # noqa: F821
load_subconfig(os.path.join(os.path.dirname(__file__), "jupyterhub_config.py"))  # noqa: F821

c.JupyterHub.bind_url = "http://127.0.0.1:8000"
c.JupyterHub.authenticator_class = "native"
c.NativeAuthenticator.open_signup = True
c.NativeAuthenticator.minimum_password_length = 10
c.Authenticator.allow_all = True

c.JupyterHub.spawner_class = "simple"
c.SimpleLocalProcessSpawner.home_dir_template = os.path.join(os.getcwd(), "homes", "{username}")
c.JupyterHub.active_server_limit = 0  # no limit: you know what else runs on your machine
if os.geteuid() == 0:  # in a container
    c.Spawner.args = [*c.Spawner.args, "--ServerApp.allow_root=True"]
