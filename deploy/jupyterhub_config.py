"""JupyterHub for a class in one room: one Linux server, an account for each person. See docs/jupyterhub.md.

    jupyterhub -f jupyterhub_config.py      # as root, in a folder of its own; each seat runs as its learner

To change something, write a file of your own that begins with `load_subconfig("…/jupyterhub_config.py")` and sets it
anew. `docker_config.py` and `demo_config.py` do so.
"""

import os
import sys

import psutil

c = get_config()  # noqa: F821

# Who may log in: accounts of this server, in these groups. A teacher may also open a learner's seat, to help.
c.JupyterHub.authenticator_class = "pam"
c.PAMAuthenticator.allowed_groups = {"learners", "teachers"}
c.PAMAuthenticator.admin_groups = {"teachers"}
c.Authenticator.blocked_users = {"root"}

# Only this machine reaches the hub: put a web server with a certificate before it.
c.JupyterHub.bind_url = "http://127.0.0.1:8000"

# A seat: the learner's copy of the lessons, JupyterLab on lesson 00. What a learner installs or sets in their home
# cannot change how their server guards itself.
c.JupyterHub.spawner_class = "localprocess"
c.Spawner.cmd = [os.path.join(os.path.dirname(os.path.abspath(__file__)), "seat.sh")]
c.Spawner.notebook_dir = "~"
c.Spawner.default_url = "/lab/tree/my-course/00_start_here.ipynb"
c.Spawner.disable_user_config = True
c.Spawner.start_timeout = 180  # seconds; when a whole class logs in at once, each waits for its turn at the cores
c.Spawner.http_timeout = 120

# What a seat gets. Measured: docs/jupyterhub.md. A process of a seat that asks for more memory is refused it.
c.Spawner.mem_limit = "3G"
c.Spawner.environment = {
    "OMP_NUM_THREADS": "1",  # of a kernel: a second brings little, and those of a whole class wait for each other
    "PATH": os.pathsep.join([os.path.dirname(sys.executable), os.environ["PATH"]]),
}
SEAT = 2e9  # bytes that a seat in use takes; the plan
RESERVE = 1.5e9  # for the system and the hub

# The hub turns away those whom the memory cannot serve, with a page that says so, and leaves the others in peace.
c.JupyterHub.active_server_limit = max(1, int((psutil.virtual_memory().total - RESERVE) / SEAT))

# A kernel that has done nothing for an hour ends, even if its page is still open; a seat without kernels ends too.
IDLE = 3600
c.Spawner.args = [
    f"--MappingKernelManager.cull_idle_timeout={IDLE}",
    "--MappingKernelManager.cull_connected=True",
    "--MappingKernelManager.cull_interval=300",
    f"--TerminalManager.cull_inactive_timeout={IDLE}",
    f"--ServerApp.shutdown_no_activity_timeout={IDLE}",
]
