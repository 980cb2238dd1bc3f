"""The console scripts."""

from ddpm_cli.cli.main import (
    compare,
    data,
    doctor,
    evaluate,
    export,
    info,
    main,
    plot,
    report,
    sample,
    sweep,
    train,
)
