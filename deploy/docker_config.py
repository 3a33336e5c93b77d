"""JupyterHub on one server, a container for each seat, for learners without accounts there. See docs/jupyterhub.md.

In the repository's root once, then in a folder of its own with the learners' names in names.txt, as an account in the
group docker:

    docker build -f deploy/Dockerfile -t resnet-edu-seat .
    docker network create --subnet 172.30.0.0/16 --opt com.docker.network.bridge.enable_icc=false resnet-edu
    jupyterhub -f docker_config.py
"""

import os

c = get_config()  # noqa: F821
load_subconfig(os.path.join(os.path.dirname(os.path.abspath(__file__)), "jupyterhub_config.py"))  # noqa: F821

# The names in names.txt, one a line; each chooses a password at the first log-in. The teacher logs in first.
c.JupyterHub.authenticator_class = "firstuse"
c.FirstUseAuthenticator.create_users = False
c.Authenticator.admin_users = {"teacher"}
with open("names.txt", encoding="utf-8") as names:
    c.Authenticator.allowed_users = set(names.read().split())

c.JupyterHub.spawner_class = "docker"
c.DockerSpawner.image = "resnet-edu-seat"
c.DockerSpawner.cmd = ["seat.sh"]
c.DockerSpawner.cpu_limit = 1
c.DockerSpawner.environment = {"OMP_NUM_THREADS": "1"}
c.DockerSpawner.remove = True  # the container goes, the home stays
c.DockerSpawner.notebook_dir = "/home/jovyan"
c.DockerSpawner.volumes = {"resnet-edu-{username}": "/home/jovyan"}

# Containers reach the hub and the internet, not each other (enable_icc=false above).
c.DockerSpawner.network_name = "resnet-edu"
c.JupyterHub.hub_ip = "172.30.0.1"  # this server, as the containers see it
c.DockerSpawner.extra_host_config = {
    "cap_drop": ["ALL"],
    "security_opt": ["no-new-privileges"],
    "pids_limit": 500,
    "init": True,
}
