"""JupyterHub on one server, a container for each seat, for learners without accounts there. See docs/jupyterhub.md.

In the repository's root once, then in a folder of its own, as an account in the group docker:

    docker build -f deploy/Dockerfile -t resnet-edu-seat .
    docker network create --subnet 172.30.0.0/16 --opt com.docker.network.bridge.enable_icc=false resnet-edu
    jupyterhub -f docker_config.py
"""

import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)  # for slips

c = get_config()  # noqa: F821
load_subconfig(os.path.join(HERE, "jupyterhub_config.py"))  # noqa: F821

# A name and a password on a slip for each, from `python deploy/slips.py names.txt slips.json`.
c.JupyterHub.authenticator_class = "slips.SlipAuthenticator"
c.Authenticator.admin_users = {"teacher"}
c.Authenticator.allow_all = True  # all who have a slip

c.JupyterHub.spawner_class = "docker"
c.DockerSpawner.image = "resnet-edu-seat"
c.DockerSpawner.cmd = ["python", "-m", "resnet_edu.tools.seat"]
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
