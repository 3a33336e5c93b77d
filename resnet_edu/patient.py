"""A client for a notebook's kernel that does not miss a reply."""

import time
from queue import Empty
from typing import Any

from nbclient import NotebookClient
from nbclient.util import run_sync


class PatientClient(NotebookClient):
    """Looks for a cell's reply every second.

    For an explorer nbclient writes to the socket from which it reads the reply. With pyzmq this can swallow the signal
    that the reply is there, and a busy machine would then wait until the cell's time is over.
    """

    async def async_start_new_kernel_client(self) -> Any:
        """The client, with a wait in steps of one second."""
        client = await super().async_start_new_kernel_client()
        wait = client.shell_channel.get_msg

        async def get_msg(timeout: float | None = None) -> Any:
            deadline = float("inf") if timeout is None else time.monotonic() + timeout
            while True:
                try:
                    return await wait(timeout=max(0.0, min(1.0, deadline - time.monotonic())))
                except Empty:
                    if time.monotonic() >= deadline:
                        raise

        client.shell_channel.get_msg = get_msg
        return client

    start_new_kernel_client = run_sync(async_start_new_kernel_client)  # what a `with client.setup_kernel()` calls
