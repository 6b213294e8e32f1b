"""garak with Insectary's probe pairs beside its own probes. Runs in garak's environment.

    python FOLDER/garak_run.py --config run.yaml --spec probes.insectary_pairs ...

takes garak's own arguments. garak 0.17.1 looks for plug-ins in its own package alone, so the
two packages of this folder are put on its search path, and the classes into its register, for
this process. Nothing of garak is changed.
"""

# It runs where garak is, and there alone; nothing of it can be looked up here.
# mypy: ignore-errors

import importlib
import sys
from pathlib import Path

import garak.detectors
import garak.probes
from garak import _config, _plugins, cli

HERE = Path(__file__).resolve().parent
MODULE = "insectary_pairs"


def register() -> None:
    """Put the probes and the detector where garak looks for them."""
    register_of = _plugins.PluginCache.instance()
    for kind, package in (("probes", garak.probes), ("detectors", garak.detectors)):
        package.__path__.append(str(HERE / kind))
        module = importlib.import_module(f"garak.{kind}.{MODULE}")
        for plugin in module.PLUGINS:
            name = f"{kind}.{MODULE}.{plugin.__name__}"
            register_of[kind][name] = _plugins.PluginCache.plugin_info(plugin)


if __name__ == "__main__":
    # Its classes read their settings when they are made, so garak's own come first.
    _config.load_base_config()
    register()
    cli.main(sys.argv[1:])
