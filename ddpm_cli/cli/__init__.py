"""The console scripts."""

from ddpm_cli.cli.main import (
    compare,
    data,
    doctor,
    ema,
    evaluate,
    export,
    import_model,
    info,
    main,
    plot,
    report,
    sample,
    sweep,
    train,
    tune,
)
