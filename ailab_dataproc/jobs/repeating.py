"""The same job once more: a new id, the code and work as they were, secrets as they are now."""

from __future__ import annotations

from dataclasses import replace

from ailab_dataproc.jobs.amounts import now
from ailab_dataproc.jobs.carried import Carried
from ailab_dataproc.jobs.environment import take_secrets
from ailab_dataproc.jobs.folders import new_id, user
from ailab_dataproc.jobs.handing import Files, check_workers, connected, hand_over, versions
from ailab_dataproc.jobs.record import CODE, WORK, Asked
from ailab_dataproc.settings import load_settings
from ailab_dataproc.storage import Folder


def repeat(job: Folder, asked: Asked) -> Folder:
    """Submit a job again, to the cluster where it was; returns the new folder.

    Raises:
        InvalidRequest, ClusterFailed, StorageFailed: as `submit`.
    """
    settings = load_settings()
    secrets = take_secrets(asked.secrets)
    contents = job.read_many([WORK, CODE])
    new = replace(asked, id=new_id(asked.name), user=user(), created=now(), versions=versions(), repeats=asked.id)
    carried = Carried(secrets, settings.storage_options, settings.storage_options)
    with connected(asked.cluster, settings) as (client, _):
        new = replace(new, scheduler=check_workers(client, new, wait=False))
        return hand_over(client, Files(new, contents.get(WORK), contents.get(CODE)), settings, carried)
