# From metrics to laws, forecasts, a plan, figures and the report.

LAWS, PLAN = STUDY["laws"], STUDY["plan"]
# What compares variants is there where there are several.
BETWEEN = OF_VARIANTS if len(VARIANTS) > 1 else ()
COMPARISONS = " ".join(f"--{name} {LAYOUT.together}/{name}.parquet" for name in BETWEEN)
# What compares test sets, likewise.
TEST_SETS = [split for one in EVALUATED.values() for split in one["collection"]["splits"]["test"]]
ELSEWHERE = OF_TEST_SETS if len(TEST_SETS) > 1 else ()
TRANSFERS = " ".join(f"--{name} {LAYOUT.together}/{name}.parquet" for name in ELSEWHERE)
FIGURES = figures_of({*BETWEEN, *(("plan", "plan_grid") if PLAN else ())})
FORMATS = ("svg", "pdf", "png")
# Rankings that nothing was trained for, where the study has any.
LINES = {"references": rules.gather.output.references} if any(REFERENCES.values()) else {}
BESIDE = f"--references {LAYOUT.together}/references.parquet" if LINES else ""
# What the noise of queries is told by.
PER_QUERY = [LAYOUT.table("observations", *final, name) for final in FINALS for name in EVALUATED]
PER_QUERY += [
    LAYOUT.table("per_query", *final, name) for final in FINALS for name in EVALUATED if final[0] in SEARCHING[name]
]
LARGEST = grid.largest_subset(RUNS)
ON_LARGEST = [run for run in RUNS if run.subset == LARGEST]


rule fit:
    input:
        metrics=rules.gather.output.metrics,
        per_query=PER_QUERY,
    output:
        **{name: f"{LAYOUT.together}/{name}.parquet" for name in (*BETWEEN, *ELSEWHERE)},
        fits=f"{LAYOUT.together}/fits.parquet",
        forecasts=f"{LAYOUT.together}/forecasts.parquet",
        curves=f"{LAYOUT.together}/curves.parquet",
        influence=f"{LAYOUT.together}/influence.parquet",
        ranking=f"{LAYOUT.together}/ranking.parquet",
        verdicts=f"{LAYOUT.together}/verdicts.parquet",
        contrasts=f"{LAYOUT.together}/contrasts.parquet",
    log:
        LAYOUT.together_log("fit"),
    conda:
        ENVIRONMENT
    # Any number of processes gives the same tables.
    threads: 8
    resources:
        launcher=RANKSCALE,
    params:
        code=code_of("stages.fit"),
        options=fixed(stage_arguments.fit(STUDY)),
        of_variants=COMPARISONS,
        of_test_sets=TRANSFERS,
    message:
        "Fitting laws, forecasting the sizes held out, judging the metrics"
    shell:
        "{resources.launcher} fit {params.options} --log {log} --workers {threads} "
        f"--study {LAYOUT.own} --study-name {NAME} "
        "--metrics {input.metrics} --fits {output.fits} --forecasts {output.forecasts} --curves {output.curves} "
        "--influence {output.influence} --ranking {output.ranking} "
        "--verdicts {output.verdicts} --contrasts {output.contrasts} {params.of_variants} {params.of_test_sets}"


if PLAN:

    rule plan:
        input:
            metrics=rules.gather.output.metrics,
            forecasts=rules.fit.output.forecasts,
            per_query=PER_QUERY,
            times=[f"{LAYOUT.run(run)}/times.parquet" for run in grid.on_own_largest(RUNS)],
        output:
            plan=f"{LAYOUT.together}/plan.parquet",
            grid=f"{LAYOUT.together}/plan_grid.parquet",
        log:
            LAYOUT.together_log("plan"),
        conda:
            ENVIRONMENT
        resources:
            launcher=RANKSCALE,
        params:
            code=code_of("stages.plan"),
            options=fixed(stage_arguments.plan(STUDY)),
        message:
            "Planning what to train next"
        shell:
            "{resources.launcher} plan {params.options} --log {log} "
            f"--study {LAYOUT.own} --study-name {NAME} "
            "--metrics {input.metrics} --forecasts {input.forecasts} --plan {output.plan} --grid {output.grid}"


rule subsample:
    input:
        metrics=rules.gather.output.metrics,
        observations=[LAYOUT.table("observations", run, FINAL) for run in ON_LARGEST],
    output:
        f"{LAYOUT.together}/subsamples.parquet",
    log:
        LAYOUT.together_log("subsample"),
    conda:
        ENVIRONMENT
    resources:
        launcher=RANKSCALE,
    params:
        code=code_of("stages.subsample"),
        options=fixed(stage_arguments.subsample(STUDY)),
    message:
        "Dropping queries, to see whether there are enough"
    shell:
        "{resources.launcher} subsample {params.options} --log {log} --metrics {input.metrics} "
        f"--study-name {NAME} "
        "--observations {input.observations} --output {output}"


SLICED = ("slices",) if STUDY["evaluation"]["slices"] else ()
SLICES = f"--slices {LAYOUT.together}/slices.parquet" if SLICED else ""

if SLICED:

    rule slice:
        input:
            observations=[LAYOUT.table("observations", *final, name) for final in FINALS for name in EVALUATED],
            collected=expand(rules.collect.output, collection=EVALUATED),
            candidates=[LAYOUT.candidates(name) for name in EVALUATED],
        output:
            f"{LAYOUT.together}/slices.parquet",
        log:
            LAYOUT.together_log("slice"),
        conda:
            ENVIRONMENT
        resources:
            launcher=RANKSCALE,
        params:
            code=code_of("stages.slice"),
            options=fixed(test_set_arguments.slices(STUDY)),
            places=" ".join(place.shared for place in collections.layouts(STUDY, LAYOUT).values()),
        message:
            "Measuring slices of the queries"
        shell:
            "{resources.launcher} slice {params.options} --log {log} "
            f"--study-name {NAME} "
            "--observations {input.observations} --collections {params.places} --candidates {input.candidates} "
            "--output {output}"


rule plot:
    input:
        **({"plan": rules.plan.output.plan, "grid": rules.plan.output.grid} if PLAN else {}),
        **{name: rules.fit.output[name] for name in BETWEEN},
        **LINES,
        subsamples=rules.subsample.output,
        metrics=rules.gather.output.metrics,
        left_out=rules.gather.output.left_out,
        fits=rules.fit.output.fits,
        forecasts=rules.fit.output.forecasts,
        curves=rules.fit.output.curves,
        influence=rules.fit.output.influence,
        verdicts=rules.fit.output.verdicts,
    output:
        [
            report(
                f"{LAYOUT.together}/figures/{figure}.svg",
                category="Figures",
                caption=f"../report/{figure}.rst",
                labels={"figure": figure.replace("_", " ")},
            )
            for figure in FIGURES
        ],
        [f"{LAYOUT.together}/figures/{figure}.{suffix}" for figure in FIGURES for suffix in FORMATS[1:]],
    log:
        LAYOUT.together_log("plot"),
    conda:
        ENVIRONMENT
    resources:
        launcher=RANKSCALE,
    params:
        code=code_of("stages.plot"),
        figures=" ".join(FIGURES),
        of_variants=COMPARISONS,
        beside=BESIDE,
        plan=f"--plan {LAYOUT.together}/plan.parquet --plan-grid {LAYOUT.together}/plan_grid.parquet" if PLAN else "",
    message:
        "Drawing {params.figures}"
    shell:
        "{resources.launcher} plot --log {log} --metrics {input.metrics} --left-out {input.left_out} --fits {input.fits} "
        "--forecasts {input.forecasts} --curves {input.curves} --subsamples {input.subsamples} --influence {input.influence} --verdicts {input.verdicts} {params.plan} {params.of_variants} {params.beside} "
        f"--output {LAYOUT.together}/figures --study-name {NAME} "
        "--figures {params.figures}"


TABLES = (
    "summary",
    "metrics",
    "verdicts",
    "contrasts",
    "fits",
    "forecasts",
    "ranking",
    *(("plan",) if PLAN else ()),
    *LINES,
    *SLICED,
    *BETWEEN,
    *ELSEWHERE,
)


rule summarize:
    input:
        **({"plan": rules.plan.output.plan} if PLAN else {}),
        **{name: rules.fit.output[name] for name in (*BETWEEN, *ELSEWHERE)},
        **LINES,
        **({"slices": rules.slice.output} if SLICED else {}),
        metrics=rules.gather.output.metrics,
        left_out=rules.gather.output.left_out,
        fits=rules.fit.output.fits,
        forecasts=rules.fit.output.forecasts,
        ranking=rules.fit.output.ranking,
        verdicts=rules.fit.output.verdicts,
        contrasts=rules.fit.output.contrasts,
        manifest=f"{LAYOUT.shared}/manifest.json",
    output:
        [
            report(
                f"{LAYOUT.together}/tables/{table}.html",
                category="Summary" if table == "summary" else "Tables",
                caption=f"../report/{table}.rst",
                labels={"table": table},
            )
            for table in TABLES
        ],
        summary=f"{LAYOUT.together}/summary.md",
        provenance=f"{LAYOUT.together}/provenance.json",
    log:
        LAYOUT.together_log("summarize"),
    conda:
        ENVIRONMENT
    resources:
        launcher=RANKSCALE,
    params:
        code=code_of("stages.summarize"),
        options=fixed(stage_arguments.summarize(STUDY)),
        plan=f"--plan {LAYOUT.together}/plan.parquet" if PLAN else "",
        of_variants=COMPARISONS,
        beside=BESIDE,
        of_test_sets=TRANSFERS,
        slices=SLICES,
    message:
        "Saying what the study shows, and what it was made with"
    shell:
        "{resources.launcher} summarize --log {log} {params.options} --metrics {input.metrics} --left-out {input.left_out} "
        "--fits {input.fits} --forecasts {input.forecasts} --ranking {input.ranking} "
        "--verdicts {input.verdicts} --contrasts {input.contrasts} {params.plan} {params.of_variants} {params.beside} {params.of_test_sets} {params.slices} --manifest {input.manifest} "
        f"--tables {LAYOUT.together}/tables "
        "--summary {output.summary} --provenance {output.provenance}"


rule page:
    input:
        summary=rules.summarize.output.summary,
        metrics=rules.gather.output.metrics,
        fits=rules.fit.output.fits,
        curves=rules.fit.output.curves,
        verdicts=rules.fit.output.verdicts,
        figures=[f"{LAYOUT.together}/figures/{figure}.svg" for figure in FIGURES],
    output:
        report(
            f"{LAYOUT.together}/page.html",
            category="Summary",
            caption="../report/page.rst",
            labels={"table": "page"},
        ),
    log:
        LAYOUT.together_log("page"),
    conda:
        ENVIRONMENT
    resources:
        launcher=RANKSCALE,
    params:
        code=code_of("stages.page"),
    message:
        "Writing the report as a page"
    shell:
        "{resources.launcher} page --log {log} --summary {input.summary} --metrics {input.metrics} --fits {input.fits} "
        "--curves {input.curves} --verdicts {input.verdicts} --figures {input.figures} "
        f"--study-name {NAME} "
        "--output {output}"
