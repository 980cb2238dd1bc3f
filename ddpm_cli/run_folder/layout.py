"""The names of the files and folders of a run."""

METRICS, SAMPLES, INCIDENTS = "metrics.jsonl", "samples.jsonl", "incidents.jsonl"  # rows
EVALUATIONS = "evaluations.jsonl"  # rows of ddpm-eval
DATA, FORWARD, HELD_OUT, GRID = "data.png", "forward.png", "held_out.png", "samples/step_{:08d}.png"
NEAREST_IMAGES = (
    "samples/nearest_{:08d}.png"  # the training images nearest to the samples of a step
)
LOG, TENSORBOARD, HYDRA, REPORT = "train.log", "tensorboard", ".hydra", "report.html"
RUN_ID = "run_ids/{}.txt"  # the id under which a logger's service knows the run
