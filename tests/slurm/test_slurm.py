"""A small study on a real SLURM cluster, by the profile that the README names."""

import getpass
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from datetime import datetime
from itertools import pairwise
from pathlib import Path

import pytest
import yaml

from rankscale.text.tokenizers import train_wordpiece
from tests.conftest import SMALL

# A quick cluster needs no long waits; memory and time are the profile's own.
QUICK = "--slurm-init-seconds-before-status-checks 4 --seconds-between-status-checks 4 --latency-wait 10"
PATIENCE = 400  # seconds; a slow machine is no failure
SIZES = [{"name": f"L1H{hidden}", "layers": 1, "hidden": hidden, "heads": 2} for hidden in (8, 16)]
BROKEN = {"name": "broken", "checkpoint": "./broken"}


def configured(folder, name, models, **training):
    """A config file of the small study, with other models and settings of training."""
    config = yaml.safe_load(SMALL) | {"study": name, "models": models, "machine": {"save_seconds": 0, "device": "cpu"}}
    snapshots = {"models": ["L1H16"], "steps": [1, 10]}
    config["training"] |= {"train_queries": [256], "snapshots": snapshots} | training
    (folder / f"{name}.yaml").write_text(yaml.safe_dump(config))


def start(cluster, folder, command, stream):
    path = f"{Path(sys.executable).parent}:{cluster.environment['PATH']}"
    return subprocess.Popen(
        # Where the tests run in the background of a shell, SIGINT is ignored, and so it would be there.
        f"exec env --default-signal=INT snakemake --workflow-profile profiles/slurm {QUICK} {command}",
        shell=True,
        cwd=folder,
        env={**cluster.environment, "PATH": path, "NO_COLOR": "1"},
        stdout=stream,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


def launched(cluster, folder, command, timeout=900):
    """Run the workflow on the cluster; its exit code and what it said."""
    with open(folder / "output.txt", "w") as stream:
        code = start(cluster, folder, command, stream).wait(timeout)
    return code, (folder / "output.txt").read_text()


def until(condition, seconds, why):
    end = time.monotonic() + seconds
    while not (result := condition()):
        assert time.monotonic() < end, why()
        time.sleep(0.2)
    return result


@pytest.fixture(scope="module")
def folder(project, tmp_path_factory):
    """The small project; the collection it made lies on the cluster's file system."""
    project_copy = shutil.copytree(project, tmp_path_factory.mktemp("slurm") / "rankscale", symlinks=True)
    train_wordpiece(["a few words"], 60, project_copy / "broken")
    shape = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    config = {"model_type": "bert", "architectures": ["BertModel"], "vocab_size": 60, **shape}
    (project_copy / "broken/config.json").write_text(json.dumps(config))
    (project_copy / "broken/model.safetensors").write_bytes(b"no weights")
    return project_copy


@pytest.fixture(scope="module")
def study(cluster, folder):
    """The whole study, one of whose models cannot be loaded: exit code, words, jobs."""
    configured(folder, "cluster", [*SIZES, BROKEN])
    code, output = launched(cluster, folder, "--configfile cluster.yaml --retries 1")
    return code, output, cluster.jobs()


def seconds(moment):
    return datetime.fromisoformat(moment).timestamp()


def test_a_failing_run_stops_no_other_and_is_named_at_the_end(folder, study):
    code, output, jobs = study
    assert code
    for run in ("L1H8/256", "L1H16/256"):
        assert (folder / f"results/cluster/scores/docstrings/base/{run}/42/final.parquet").exists(), output[-3000:]
    end = output[output.index("stage did not end well") :]
    assert "1 stage did not end well" in output
    assert "results/cluster/logs/train/base/broken/256/42.log" in end
    assert "train: checkpoint ./broken: cannot be loaded" in end
    # Tried again with more memory and time.
    tried = [j for j in jobs if j["Comment"] == "rule_train_wildcards_base_broken_256_42"]
    assert [j["MinMemoryNode"] for j in tried] == ["16000M", "32000M"]
    assert [j["TimeLimit"] for j in tried] == ["08:00:00", "16:00:00"]


def test_gpu_stages_take_turns_on_the_one_gpu_and_others_do_not_wait(study):
    _, _, jobs = study
    with_gpu = [j for j in jobs if "gpu" in j.get("TresPerJob", "")]
    assert {j["Partition"] for j in with_gpu} == {"gpu"}
    assert {j["Partition"] for j in jobs if j not in with_gpu} == {"cpu"}
    spans = sorted((seconds(j["StartTime"]), seconds(j["EndTime"])) for j in with_gpu)
    assert all(end <= begin for (_, end), (begin, _) in pairwise(spans))
    rules = {j["Comment"].split("_")[1] for j in with_gpu}
    assert rules == {"train", "evaluation"}


def test_a_runs_checkpoints_are_evaluated_and_scored_in_one_submission(study):
    """L1H16 has two snapshots: three checkpoints, each evaluated and scored."""
    _, _, jobs = study
    evaluated = [j["Comment"] for j in jobs if "evaluation_base_L1H16_256_42" in j["Comment"]]
    assert len(evaluated) == 1


def test_a_second_call_finishes_what_the_failing_run_left(cluster, folder, study):
    """Without the broken model the rest of the study is there: nothing is trained or evaluated again."""
    configured(folder, "cluster", SIZES)
    before = len(cluster.jobs())
    code, output = launched(cluster, folder, "--configfile cluster.yaml")
    assert code == 0, output[-3000:]
    rules = {j["Comment"].split("_")[1] for j in cluster.jobs()[before:]}
    assert rules == {"gather", "fit", "plan", "subsample", "plot", "summarize", "page"}
    assert (folder / "results/cluster/summary.md").exists()
    # What the demo had made was taken as it is.
    provenance = json.loads((folder / "results/cluster/provenance.json").read_text())
    shared = ("docstrings", "docstrings/lsa/negatives", "docstrings/tokens/wordpiece")
    assert provenance["reused"] == {f"results/shared/{part}": "demo" for part in shared}
    assert provenance["hours"]["train"]["jobs"] == 2


OTHER = """gres: "'gpu:1'", slurm_extra: "'--signal=USR1@120'\""""


def test_gpus_can_be_asked_for_as_a_generic_resource(cluster, folder):
    """As some clusters want it: the line that the profile's comment names; a warning before the end beside it."""
    profile = folder / "profiles/slurm/config.yaml"
    as_it_was = profile.read_text()
    line = "  train: {slurm_partition: gpu, gpu: 1,"
    assert line in as_it_was
    profile.write_text(as_it_was.replace(line, line.replace("gpu: 1", OTHER)))
    configured(folder, "generic", SIZES)
    target = "results/generic/models/base/L1H8/256/42/final.safetensors"
    code, output = launched(cluster, folder, f"{target} --configfile generic.yaml")
    profile.write_text(as_it_was)
    assert code == 0, output[-3000:]
    last = cluster.jobs()[-1]
    assert "gres:gpu:1" in (last.get("TresPerNode"), last.get("TresPerJob"))
    assert last["Partition"] == "gpu"


# Trainings of minutes, at once and without waiting for the GPU; each is then disturbed in its own way.
DISTURBED = ("requeued", "signalled", "limited", "killed", "cancelled", "stopped")
# Given here, the profile's own block does not count: memory and time are the default's.
FREE = "--set-resources train:slurm_partition=cpu train:gpu=0"
RUN = "L1H16/512/42"


def log(folder, name):
    path = folder / f"results/{name}/logs/train/base/{RUN}.log"
    return path.read_text() if path.exists() else ""  # Snakemake deletes it before it tries again


def states(folder, name):
    return list((folder / f"results/{name}/scratch/base/{RUN}").glob("*/0*.safetensors"))


def job(cluster, folder, name):
    """The newest job of a study's training, told by where SLURM writes its log."""
    jobs = [j for j in cluster.jobs() if f"/{name}/" in j.get("StdOut", "")]
    return jobs[-1] if jobs else None


@pytest.fixture(scope="module")
def trainings(cluster, folder):
    """Each one's process, its first job, once it has saved a state and was disturbed, and that which goes on."""
    processes = {}
    for name in DISTURBED:
        configured(folder, name, SIZES[1:], train_queries=[512], epochs=5000)
        target = (
            f"results/{name}/models/base/{RUN}/final.safetensors --configfile {name}.yaml --slurm-logdir slurm/{name}"
        )
        retries = "--retries 0" if name == "cancelled" else ""
        with open(folder / f"{name}.txt", "w") as stream:
            processes[name] = start(cluster, folder, f"{target} {FREE} {retries}", stream)
    jobs = {}
    for name in DISTURBED:
        until(lambda n=name: states(folder, n), PATIENCE, (folder / f"{name}.txt").read_text)
        jobs[name] = job(cluster, folder, name)
    # SLURM looks at limits twice a minute; what it requeues it holds back for two, unless it is told when to start.
    cluster.command("scontrol", "update", f"jobid={jobs['limited']['JobId']}", "EndTime=now+1")
    cluster.command("scontrol", "requeue", jobs["requeued"]["JobId"])
    cluster.command("scancel", "--signal=USR1", jobs["signalled"]["JobId"])
    cluster.command("scancel", jobs["cancelled"]["JobId"])
    subprocess.run(
        ["pkill", "-9", "-f", "rankscale train .*--output results/killed/"], check=True
    )  # as for want of memory
    os.killpg(processes["stopped"].pid, signal.SIGINT)
    until(lambda: job(cluster, folder, "requeued")["JobState"] == "PENDING", PATIENCE, lambda: str(cluster.jobs()[-5:]))
    cluster.command("scontrol", "update", f"jobid={jobs['requeued']['JobId']}", "StartTime=now")
    yield processes, jobs, went_on(cluster, folder, processes, {"requeued", "signalled", "limited", "killed"})
    for process in processes.values():
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    cluster.command("scancel", "--user", getpass.getuser())


def went_on(cluster, folder, processes, waiting):
    """The jobs of trainings as they are once these go on from their states; each is killed then, and need not end."""
    jobs, end = {}, time.monotonic() + PATIENCE
    while waiting - set(jobs) and time.monotonic() < end:
        time.sleep(0.5)
        for name in waiting - set(jobs):
            if "going on from the state at step" in log(folder, name):
                jobs[name] = job(cluster, folder, name)
                os.killpg(processes[name].pid, signal.SIGKILL)
                cluster.command("scancel", jobs[name]["JobId"])
    return jobs


def test_a_preempted_training_is_queued_again_and_goes_on(cluster, folder, trainings):
    _, before, after = trainings
    assert "requeued" in after, (folder / "requeued.txt").read_text()
    assert (after["requeued"]["JobId"], after["requeued"]["Restarts"]) == (before["requeued"]["JobId"], "1")


def test_one_that_is_warned_by_a_signal_is_tried_again_and_goes_on(cluster, folder, trainings):
    """As `sbatch --signal` warns of preemption; it had saved its state before it ended."""
    _, before, after = trainings
    assert "signalled" in after, (folder / "signalled.txt").read_text()
    assert after["signalled"]["JobId"] != before["signalled"]["JobId"]
    assert "asked to stop (SIGUSR1): the state at step" in Path(before["signalled"]["StdOut"]).read_text()


def test_one_that_is_killed_as_for_want_of_memory_is_tried_again_with_more(cluster, folder, trainings):
    _, before, after = trainings
    assert "killed" in after, (folder / "killed.txt").read_text()
    first, last = before["killed"], after["killed"]
    assert (first["MinMemoryNode"], last["MinMemoryNode"]) == ("4000M", "8000M")
    assert last["JobId"] != first["JobId"]


def test_a_training_at_its_time_limit_is_tried_again_with_more_and_goes_on(cluster, folder, trainings):
    _, before, after = trainings
    assert "limited" in after, (folder / "limited.txt").read_text()
    first, last = before["limited"], after["limited"]
    assert (first["TimeLimit"], last["TimeLimit"]) == ("01:00:00", "02:00:00")
    assert last["JobId"] != first["JobId"]


def test_a_job_cancelled_by_hand_counts_as_failed(cluster, folder, trainings):
    assert trainings[0]["cancelled"].wait(PATIENCE)
    output = (folder / "cancelled.txt").read_text()
    assert f"results/cancelled/logs/train/base/{RUN}.log" in output[output.index("1 stage did not end well") :]
    assert states(folder, "cancelled"), "its state is kept"


def test_ctrl_c_cancels_the_jobs(cluster, folder, trainings):
    trainings[0]["stopped"].wait(PATIENCE)
    until(lambda: job(cluster, folder, "stopped")["JobState"] != "RUNNING", PATIENCE, lambda: str(cluster.jobs()[-1]))
    assert job(cluster, folder, "stopped")["JobId"] == trainings[1]["stopped"]["JobId"]
