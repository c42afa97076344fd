"""The client library's configuration, without all else that it imports at once and the operator never uses.

That takes 34 MiB and 0.15 s. So the packages whose `__init__` imports it are put in place unrun; should
one be asked for anything that is not there, it runs its `__init__` after all.
"""

import importlib.util
import sys
from types import ModuleType
from typing import Any, Final

_PUT_OFF: Final = ("kubernetes_asyncio", "kubernetes_asyncio.client")


class _Unrun(ModuleType):
    """A package whose `__init__` runs when it is first needed; its submodules can be imported before."""

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the package has
        if name.startswith("__") or self.__spec__ is None or self.__spec__.loader is None:
            raise AttributeError(name)
        self.__class__ = ModuleType  # type: ignore[assignment] # from now on as any other
        self.__spec__.loader.exec_module(self)
        return getattr(self, name)


def _put_off(name: str) -> None:
    spec = importlib.util.find_spec(name)
    if spec is None:
        raise ModuleNotFoundError(name=name)
    module = importlib.util.module_from_spec(spec)
    module.__class__ = _Unrun
    sys.modules[name] = module
    parent, _, child = name.rpartition(".")
    if parent:
        setattr(sys.modules[parent], child, module)


if "kubernetes_asyncio" not in sys.modules:
    for _name in _PUT_OFF:
        _put_off(_name)

import kubernetes_asyncio.client  # noqa: E402
from kubernetes_asyncio.client.configuration import Configuration  # noqa: E402

# The library's config takes both from the package, and needs the first in annotations only.
if "ApiClient" not in vars(kubernetes_asyncio.client):
    vars(kubernetes_asyncio.client).update(ApiClient=object, Configuration=Configuration)

from kubernetes_asyncio.config import ConfigException, load_incluster_config, load_kube_config  # noqa: E402

__all__ = ["ConfigException", "Configuration", "load_incluster_config", "load_kube_config"]
