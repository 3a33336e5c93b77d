"""The class's JupyterHub on your own laptop, to try it. Not for a class: every seat runs as you.

    python slips.py names.txt slips.json    # in an empty folder, with a few names; it prints their passwords
    jupyterhub -f demo_config.py            # in the same folder, which takes all that it writes

It listens on this machine alone. Each name gets a folder in `homes/`.
"""

import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)  # for slips

c = get_config()  # noqa: F821
load_subconfig(os.path.join(HERE, "jupyterhub_config.py"))  # noqa: F821

c.JupyterHub.bind_url = "http://127.0.0.1:8000"
c.JupyterHub.authenticator_class = "slips.SlipAuthenticator"
c.Authenticator.allow_all = True  # all who have a slip

c.JupyterHub.spawner_class = "simple"
c.SimpleLocalProcessSpawner.home_dir_template = os.path.join(os.getcwd(), "homes", "{username}")
c.JupyterHub.active_server_limit = 0  # no limit: you know what else runs on your machine
if os.geteuid() == 0:  # in a container
    c.Spawner.args = [*c.Spawner.args, "--ServerApp.allow_root=True"]
