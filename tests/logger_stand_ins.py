"""Stand-ins for the packages of loggers: modules that record how they are called."""

WANDB = """
CALLS, KEY = [], False

class Run:
    pass

class Settings(dict):
    def __init__(self, **options):
        super().__init__(options)

class Session:
    id, url = "w1", None
    settings = type("settings", (), {"sync_dir": "there"})

    def define_metric(self, *names, **options):
        pass

    def log(self, row):
        CALLS.append(("row", row.pop("step"), row))

    def finish(self, exit_code):
        CALLS.append(("end", exit_code))

def setup(settings):
    assert settings["silent"]

def login(prompt):
    assert not prompt
    return KEY

def Image(array):
    return array.shape

def init(**options):
    CALLS.append(("init", options))
    return Session()
"""

MLFLOW = """
CALLS = []

class MlflowClient:
    def __init__(self, tracking_uri):
        CALLS.append(("uri", tracking_uri))

    def search_experiments(self, max_results):
        return []

    def get_experiment_by_name(self, name):
        return None

    def create_experiment(self, name):
        return name

    def create_run(self, experiment, run_name):
        CALLS.append(("init", experiment, run_name))
        info = type("info", (), {"run_id": "m1"})
        return type("run", (), {"info": info})

    def get_run(self, run_id):
        from mlflow.exceptions import MlflowException
        if run_id != "m1":
            raise MlflowException()
        return type("run", (), {"info": type("info", (), {"lifecycle_stage": "active"})})

    def update_run(self, run_id, status):
        CALLS.append(("again", run_id, status))

    def log_batch(self, run_id, metrics=(), params=()):
        if params:
            CALLS.append(("params", dict(params)))
        if metrics:
            CALLS.append(("row", metrics[0][3], {key: value for key, value, _, _ in metrics}))

    def log_image(self, run_id, array, key, step):
        CALLS.append(("picture", step, {key: array.shape}))

    def set_terminated(self, run_id, status):
        CALLS.append(("end", status))
"""

ENTITIES = """
def Metric(*values):
    return values

Param = Metric
"""

EXCEPTIONS = """
class MlflowException(Exception):
    error_code = "RESOURCE_DOES_NOT_EXIST"
"""

TRACKIO = """
CALLS, TRACKIO_DIR = [], "there"

class Session:
    id = "t1"

    def log(self, row, step):
        CALLS.append(("row", step, row))

    def finish(self):
        CALLS.append(("end",))

def Image(array):
    return array.shape

def init(project, name, **options):
    print("* Trackio project initialized")
    CALLS.append(("init", {"project": project, "name": name, **options}))
    return Session()
"""

FILES = {
    "wandb/__init__.py": WANDB,
    "mlflow/__init__.py": MLFLOW,
    "mlflow/entities.py": ENTITIES,
    "mlflow/exceptions.py": EXCEPTIONS,
    "trackio/__init__.py": TRACKIO,
    "trackio/run.py": "",
}
