# From metrics to laws, forecasts, figures and the report.

FIGURES = ("model_scale", "data_scale", "compute_scale", "metric_vs_mrr", "training", "shares", "forecast", "queries")
FORMATS = ("svg", "pdf", "png")
LARGEST = studies.subset_name(studies.largest_size(STUDY["training"]))
FINALS = expand("{run}/final", run=RUNS)


rule fit:
    input:
        metrics=rules.gather.output.metrics,
        observations=expand(f"{RESULTS}/observations/{{checkpoint}}.parquet", checkpoint=FINALS),
    output:
        fits=f"{RESULTS}/fits.parquet",
        forecasts=f"{RESULTS}/forecasts.parquet",
        curves=f"{RESULTS}/curves.parquet",
    log:
        f"{RESULTS}/logs/fit.log",
    benchmark:
        f"{RESULTS}/benchmarks/fit.tsv"
    conda:
        ENVIRONMENT
    params:
        code=code("fit"),
        options=flags(
            {
                "hold_out_models": STUDY["laws"]["hold_out"]["models"],
                "hold_out_train_queries": STUDY["laws"]["hold_out"]["train_queries"],
                "bootstrap": STUDY["laws"]["bootstrap"],
                "seed": STUDY["laws"]["seed"],
                "ties": EVALUATION["ties"],
            }
        ),
    message:
        "Fitting laws and forecasting the sizes held out"
    shell:
        "python -m rankscale.fit {params.options} --log {log} "
        f"--observations {RESULTS}/observations "
        "--metrics {input.metrics} --fits {output.fits} --forecasts {output.forecasts} --curves {output.curves}"


rule sweep:
    input:
        expand(f"{RESULTS}/observations/{{run}}/final.parquet", run=[r for r in RUNS if r.subset == LARGEST]),
    output:
        f"{RESULTS}/sweep.parquet",
    log:
        f"{RESULTS}/logs/sweep.log",
    conda:
        ENVIRONMENT
    params:
        code=code("sweep"),
        options=flags({"seed": STUDY["laws"]["seed"], "ties": EVALUATION["ties"]}),
    message:
        "Dropping queries, to see whether there are enough"
    shell:
        "python -m rankscale.sweep {params.options} --log {log} --observations {input} --output {output}"


rule draw:
    input:
        sweep=rules.sweep.output,
        metrics=rules.gather.output.metrics,
        left_out=rules.gather.output.left_out,
        fits=rules.fit.output.fits,
        forecasts=rules.fit.output.forecasts,
        curves=rules.fit.output.curves,
    output:
        [
            report(
                f"{RESULTS}/figures/{figure}.svg",
                category="Figures",
                caption=f"../report/{figure}.rst",
                labels={"figure": figure.replace("_", " ")},
            )
            for figure in FIGURES
        ],
        [f"{RESULTS}/figures/{figure}.{suffix}" for figure in FIGURES for suffix in FORMATS[1:]],
    log:
        f"{RESULTS}/logs/draw.log",
    conda:
        ENVIRONMENT
    params:
        code=code("draw"),
        figures=" ".join(FIGURES),
    message:
        "Drawing {params.figures}"
    shell:
        "python -m rankscale.draw --log {log} --metrics {input.metrics} --left-out {input.left_out} --fits {input.fits} "
        "--forecasts {input.forecasts} --curves {input.curves} --sweep {input.sweep} "
        f"--output {RESULTS}/figures "
        "--figures {params.figures}"


TABLES = ("summary", "metrics", "fits", "forecasts")


rule summarize:
    input:
        metrics=rules.gather.output.metrics,
        left_out=rules.gather.output.left_out,
        fits=rules.fit.output.fits,
        forecasts=rules.fit.output.forecasts,
        manifest=f"{SHARED}/manifest.json",
    output:
        [
            report(
                f"{RESULTS}/tables/{table}.html",
                category="Summary" if table == "summary" else "Tables",
                caption=f"../report/{table}.rst",
                labels={"table": table},
            )
            for table in TABLES
        ],
        summary=f"{RESULTS}/summary.md",
        provenance=f"{RESULTS}/provenance.json",
    log:
        f"{RESULTS}/logs/summarize.log",
    conda:
        ENVIRONMENT
    params:
        code=code("summarize"),
        config=flags({"config": json.dumps(STUDY, sort_keys=True)}),
    message:
        "Saying what the study shows, and what it was made with"
    shell:
        "python -m rankscale.summarize --log {log} {params.config} --metrics {input.metrics} --left-out {input.left_out} "
        "--fits {input.fits} --forecasts {input.forecasts} --manifest {input.manifest} "
        f"--benchmarks {RESULTS}/benchmarks {SHARED}/benchmarks {MINED}/benchmarks --tables {RESULTS}/tables "
        "--summary {output.summary} --provenance {output.provenance}"
