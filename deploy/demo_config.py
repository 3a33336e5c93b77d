"""The class's JupyterHub on your own laptop, to try it. Not for a class: every seat runs as you.

    jupyterhub -f demo_config.py            # in a folder of its own, which takes all that it writes

It listens on this machine alone. Any name will do; the password that you type first is that name's. Each name gets a
folder in `homes/`.
"""

import os

c = get_config()  # noqa: F821
load_subconfig(os.path.join(os.path.dirname(os.path.abspath(__file__)), "jupyterhub_config.py"))  # noqa: F821

c.JupyterHub.bind_url = "http://127.0.0.1:8000"
c.JupyterHub.authenticator_class = "firstuse"
c.Authenticator.allow_all = True

c.JupyterHub.spawner_class = "simple"
c.SimpleLocalProcessSpawner.home_dir_template = os.path.join(os.getcwd(), "homes", "{username}")
c.JupyterHub.active_server_limit = 0  # no limit: you know what else runs on your machine
if os.geteuid() == 0:  # in a container
    c.Spawner.args = [*c.Spawner.args, "--ServerApp.allow_root=True"]
