"""A scaling study of neural ranking models, from a collection to laws and forecasts."""

import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.utils import min_version

min_version("9.19")

sys.path.insert(0, str(Path(workflow.basedir) / "workflow"))

# A study file is complete in itself: Snakemake would merge this one's keys into it.
if not workflow.overwrite_configfiles:

    configfile: "config.yaml"


include: "workflow/rules/common.smk"
include: "workflow/rules/collection.smk"
include: "workflow/rules/negatives.smk"
include: "workflow/rules/models.smk"
include: "workflow/rules/evaluation.smk"
include: "workflow/rules/laws.smk"


report: "workflow/report/study.rst"


onstart:
    # With a limit of jobs a second (100 unless told), each job that ends starts one more timer that has all waiting jobs
    # weighed anew each second: after some hundred jobs that takes half a core. What can run at once is limited already.
    workflow.scheduler.job_rate_limiter = None


onerror:
    # Each cluster job parses this too; only the one that was called says what failed.
    if workflow.is_main_process:
        places = collections.layouts(STUDY, LAYOUT).values()
        shared = [folder for place in places for folder in (place.shared, place.mined)]
        folders = dict.fromkeys([LAYOUT.own, LAYOUT.together, *shared, LAYOUT.hub])
        print(failed_jobs.format_failures([Path(folder, "logs") for folder in folders], STARTED))


rule all:
    default_target: True
    input:
        rules.gather.output,
        rules.fit.output,
        rules.plot.output,
        rules.summarize.output,
        rules.page.output,


rule collection:
    input:
        expand(rules.collect.output, collection=EVALUATED),


rule offline:
    input:
        expand(rules.collect.output, collection=EVALUATED),
        expand(rules.fetch.output, place=FETCHED),


rule negatives:
    input:
        NEGATIVES,


rule models:
    input:
        checkpoints,


rule metrics:
    input:
        rules.gather.output,


rule fits:
    input:
        rules.fit.output,


rule figures:
    input:
        rules.plot.output,
