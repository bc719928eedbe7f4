"""The environment of a session: Python, system, hardware, libraries. Imports no library of the program."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import sys
from itertools import islice
from typing import Any

from histhooks._base.captures import Capture
from histhooks._base.secrets import mask_value
from histhooks._base.values import dumps
from histhooks._collect import packages as _packages
from histhooks._host import hash_seed
from histhooks._host.subprocesses import Inquiry, Question

# Variables that change what a training computes; nothing else of the environment is read. docs/guide/secrets.md has
# the list.
VARIABLES = (
    # threads, and the order in which they add up
    "OMP_NUM_THREADS", "OMP_DYNAMIC", "OMP_SCHEDULE", "OMP_PROC_BIND", "OMP_PLACES", "GOMP_CPU_AFFINITY",
    "KMP_AFFINITY", "KMP_DETERMINISTIC_REDUCTION", "MKL_NUM_THREADS", "MKL_DYNAMIC", "OPENBLAS_NUM_THREADS",
    "BLIS_NUM_THREADS", "NUMEXPR_NUM_THREADS", "VECLIB_MAXIMUM_THREADS", "LOKY_MAX_CPU_COUNT", "TOKENIZERS_PARALLELISM",
    # which instructions of the processor are used
    "MKL_CBWR", "MKL_ENABLE_INSTRUCTIONS", "MKL_THREADING_LAYER", "MKL_SERVICE_FORCE_INTEL", "OPENBLAS_CORETYPE",
    "NPY_DISABLE_CPU_FEATURES", "NPY_ENABLE_CPU_FEATURES", "ATEN_CPU_CAPABILITY", "ONEDNN_MAX_CPU_ISA",
    "DNNL_MAX_CPU_ISA",
    # accelerators
    "CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER", "CUDA_LAUNCH_BLOCKING", "CUBLAS_WORKSPACE_CONFIG",
    "NVIDIA_TF32_OVERRIDE", "NCCL_ALGO", "NCCL_PROTO", "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES",
    # Python
    "PYTHONHASHSEED", "PYTHONOPTIMIZE",
    # frameworks
    "KERAS_BACKEND", "TF_DETERMINISTIC_OPS", "TF_CUDNN_DETERMINISTIC", "TF_CUDNN_USE_AUTOTUNE", "TF_ENABLE_ONEDNN_OPTS",
    "TF_NUM_INTEROP_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_USE_LEGACY_KERAS", "TF_XLA_FLAGS", "XLA_FLAGS",
    "XLA_PYTHON_CLIENT_MEM_FRACTION", "JAX_PLATFORMS", "JAX_ENABLE_X64", "JAX_DEFAULT_MATMUL_PRECISION",
    "JAX_DEFAULT_PRNG_IMPL", "JAX_THREEFRY_PARTITIONABLE", "JAX_DISABLE_JIT", "JAX_NUMPY_DTYPE_PROMOTION",
    "TORCH_COMPILE_DISABLE", "TORCHDYNAMO_DISABLE", "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE", "TORCH_BLAS_PREFER_CUBLASLT",
    "PYTORCH_JIT", "PYTORCH_CUDA_ALLOC_CONF", "PYTORCH_ALLOC_CONF", "PYTORCH_ENABLE_MPS_FALLBACK", "PL_GLOBAL_SEED",
    "PL_SEED_WORKERS", "ACCELERATE_MIXED_PRECISION", "ACCELERATE_DYNAMO_BACKEND", "SKLEARN_ASSUME_FINITE",
    "SKLEARN_WORKING_MEMORY", "SCIPY_ARRAY_API", "HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "TRANSFORMERS_OFFLINE",
    # what the job is
    "SLURM_JOB_NAME", "SLURM_NNODES",
)  # fmt: skip

# What a driver of an accelerator leaves in the file system of Linux, inside WSL included.
_DRIVERS = ("/proc/driver/nvidia", "/dev/nvidiactl", "/dev/kfd", "/dev/dxg")

# Those of x86 and of ARM by which NumPy, BLAS, oneDNN and the frameworks choose.
_INSTRUCTIONS = ("avx", "fma", "f16c", "sse4", "amx", "asimd", "sve", "bf16", "i8mm")
_CPU_LINES = 100  # of the first of the processors, which are alike

_FIELDS = ("name", "uuid", "memory.total", "driver_version")

Gathered = tuple[dict[str, Any], list[tuple[str, str | None]], list[Capture]]


def ask(inquiry: Inquiry) -> Question | None:
    """Ask for the accelerators, where there may be some; the answer takes up to seconds."""
    command = shutil.which("nvidia-smi")
    if command is None:
        return None
    return inquiry.ask(command, f"--query-gpu={','.join(_FIELDS)}", "--format=csv,noheader")


def gather(asked: Question | None, inquiry: Inquiry) -> Gathered:
    """Gather what a session runs on.

    Parameters
    ----------
    asked : Question or None
        What :func:`ask` began.
    inquiry : Inquiry

    Returns
    -------
    row : dict
        Columns of `environments` but for its id; the same on the same machine.
    packages : list of (name, version)
    captures : list of Capture
    """
    captures = [Capture("environment", "ok")]
    packages, n_unreadable = _packages.installed()
    captures.append(_told_of(packages, n_unreadable))
    cpu, flags = processor()
    row = {
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "os": _system(),
        "machine": platform.machine(),
        "cpu": cpu,
        "memory_bytes": _memory(),
        "gpus": None,
        "details": dumps(_details(flags)),
    }
    gpus, told = _gpus(asked, inquiry)
    captures.append(told)
    if gpus and importlib.util.find_spec("pynvml") is None:
        captures.append(Capture("gpu_use", "skipped", 'nvidia-ml-py is missing: pip install "histhooks[gpu]"'))
    row["gpus"] = None if gpus is None else dumps(gpus)
    return row, packages, captures


def _told_of(packages: list[tuple[str, str | None]], n_unreadable: int) -> Capture:
    text = f"{len(packages)} packages"
    if not n_unreadable:
        return Capture("packages", "ok", text)
    verb = "says" if n_unreadable == 1 else "say"
    return Capture("packages", "truncated", f"{text}; {n_unreadable} more {verb} nothing that can be read")


def processor() -> tuple[str | None, str | None]:
    """The processor's name, and the instructions that it has of those that libraries choose their loops by."""
    found: dict[str, str] = {}
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
            for line in islice(file, _CPU_LINES):
                name, _, value = line.partition(":")
                found.setdefault(name.strip(), value.strip())
    except OSError:
        pass
    cpu = found.get("model name") or os.environ.get("PROCESSOR_IDENTIFIER") or platform.machine() or None
    flags = (found.get("flags") or found.get("Features") or "").split()
    return cpu, " ".join(sorted(flag for flag in flags if flag.startswith(_INSTRUCTIONS))) or None


def _system() -> str:
    """What ``platform.platform()`` says, which asks a program (``uname -p``) for the processor.

    That, and ``platform.processor()``, pass ``warnings.catch_warnings`` (``os.get_exec_path``), after which the program
    is shown all warnings a second time, and another thread's filters may be lost.
    """
    found = platform.uname()
    words = [found.system, found.release, found.machine]
    if found.system == "Darwin" and platform.mac_ver()[0]:
        words = ["macOS", platform.mac_ver()[0], found.machine]
    elif found.system == "Windows":
        words = [found.system, found.release, found.version]
    libc = "".join(platform.libc_ver())
    return "-".join(word for word in words if word) + (f"-with-{libc}" if found.system == "Linux" and libc else "")


def _memory() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError, AttributeError):  # Windows has no sysconf
        import psutil

        return int(psutil.virtual_memory().total)


def _gpus(asked: Question | None, inquiry: Inquiry) -> tuple[list[dict[str, str]] | None, Capture]:
    if asked is None:
        if sys.platform == "linux" and not any(os.path.exists(path) for path in _DRIVERS):
            return [], Capture("gpus", "ok", "none: no driver is loaded")
        return None, Capture("gpus", "skipped", "no nvidia-smi on the PATH")
    inquiry.read(asked)
    if asked.answer is None:
        return None, Capture("gpus", "failed", asked.why_not)
    rows = [[cell.strip() for cell in line.split(",")] for line in asked.answer.splitlines() if line.strip()]
    return [dict(zip(_FIELDS, row, strict=False)) for row in rows], Capture("gpus", "ok", f"{len(rows)} found")


def _details(cpu_flags: str | None) -> dict[str, Any]:
    found = {
        "cpu_flags": cpu_flags,
        "package_origins": _packages.origins() or None,
        "is_conda": os.path.isdir(os.path.join(sys.prefix, "conda-meta")) or None,
    }
    return {
        **{name: value for name, value in found.items() if value is not None},
        "cpu_count": os.cpu_count(),
        "cpu_affinity": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None,
        "executable": sys.executable,
        "libc": " ".join(platform.libc_ver()),
        "hash_randomization": sys.flags.hash_randomization,
        "optimize": sys.flags.optimize,
        "thread_pools": _thread_pools(),
        "variables": _variables(),
    }


def _variables() -> dict[str, str]:
    # A hash seed that `histhooks run` chose is another one in each session, which would each have an environment.
    left_out = {"PYTHONHASHSEED"} if hash_seed.is_chosen() else set()
    names = [name for name in VARIABLES if name in os.environ and name not in left_out]
    return {name: mask_value(name, os.environ[name]) for name in names}


def _thread_pools() -> list[dict[str, Any]]:
    """BLAS and OpenMP as they are loaded now, with their threads; taken from libraries that the program loaded.

    OpenMP counts for each thread apart: its number here is what a new thread gets, not what the program's thread set.
    """
    pools: list[dict[str, Any]] = []
    threadpoolctl = sys.modules.get("threadpoolctl")
    if threadpoolctl is not None:
        names = ("user_api", "internal_api", "version", "num_threads", "threading_layer", "architecture")
        pools += [{name: pool[name] for name in names if name in pool} for pool in _pools_by(threadpoolctl)]
    torch = sys.modules.get("torch")
    if torch is not None and hasattr(torch, "get_num_threads"):
        pools.append({"user_api": "torch", "num_threads": torch.get_num_threads()})
    return sorted(pools, key=str)


def _pools_by(threadpoolctl: Any) -> list[dict[str, Any]]:
    """What ``threadpool_info()`` says, in a tenth of the time.

    It resolves the path of each library that is loaded, folder by folder, and then looks at the name of the file. That
    is another one only where the file itself is a link.
    """
    whole: Any = threadpoolctl.ThreadpoolController
    kinds = getattr(threadpoolctl, "_ALL_CONTROLLERS", None)
    if not kinds or not hasattr(whole, "_make_controller_from_path"):  # since threadpoolctl 3.0
        found: list[dict[str, Any]] = threadpoolctl.threadpool_info()
        return found
    prefixes = tuple(prefix for kind in kinds for prefix in kind.filename_prefixes)

    class OfPools(whole):  # type: ignore[misc]
        def _make_controller_from_path(self, filepath: str) -> None:
            if os.path.basename(filepath).lower().startswith(prefixes) or os.path.islink(filepath):
                super()._make_controller_from_path(filepath)

    found = OfPools().info()
    return found
