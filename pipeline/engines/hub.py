"""Models on the Hugging Face hub: which commit a name stands for, told in one sentence if nobody can say."""

import importlib

from stages.base import FatalError


def commit_of(model: str, revision: str | None = None) -> str:
    """The commit of a hub's model, of `revision` or the newest; if the hub says nothing, the one in the cache.

    Raises:
        FatalError: there is no such model, or the hub cannot be asked and the cache has none.
    """
    from huggingface_hub import HfApi, try_to_load_from_cache
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError
    from huggingface_hub.utils._http import get_session

    # what a lost connection raises: huggingface_hub 1 speaks through httpx, 2 through httpx2, neither with OSErrors
    client = importlib.import_module(type(get_session()).__module__.partition(".")[0])
    try:
        return str(HfApi().model_info(model, revision=revision).sha)
    except HFValidationError as error:
        raise FatalError(f"{model} is neither a folder nor a model's name on the hub") from error
    except (HfHubHTTPError, OSError, client.HTTPError) as error:  # refused, offline, out of reach: so for others too
        cached = try_to_load_from_cache(model, "config.json", revision=revision)
        if not isinstance(cached, str):
            told = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
            raise FatalError(
                f"{model} (revision {revision or 'main'}) is not in the cache, and the hub says: {told} (no network "
                "here, HF_HUB_OFFLINE=1 set, or HF_TOKEN missing?)"
            ) from error
        return cached.rpartition("/snapshots/")[2].partition("/")[0]
