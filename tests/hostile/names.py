"""Calls by name: each in an attribute of a good model, that no answer depends on."""

from __future__ import annotations

from collections.abc import Callable

from admission_files import call, name, text

from hostile.case import Case, Trap
from hostile.host import around

Arguments = Callable[[Trap], tuple[bytes, ...]]


def shell(trap: Trap) -> tuple[bytes, ...]:
    return (text(trap.shell),)


def python(trap: Trap) -> tuple[bytes, ...]:
    return (text(trap.python),)


def python_and_names(trap: Trap) -> tuple[bytes, ...]:
    return text(trap.python), b"}"


def statement_and_setup(trap: Trap) -> tuple[bytes, ...]:
    return text("pass"), text(trap.python)


def path(trap: Trap) -> tuple[bytes, ...]:
    return (text(str(trap.marker)),)


def path_to_write(trap: Trap) -> tuple[bytes, ...]:
    return text(str(trap.marker)), text("w")


def url(trap: Trap) -> tuple[bytes, ...]:
    return (text(trap.url),)


def address(trap: Trap) -> tuple[bytes, ...]:
    port = b"M" + trap.port.to_bytes(2, "little")
    return (text("127.0.0.1") + port + b"\x86",)


def words(trap: Trap) -> tuple[bytes, ...]:
    return (b"](" + text("sh") + text("-c") + text(trap.shell) + b"e",)


def shell_and_words(trap: Trap) -> tuple[bytes, ...]:
    return text("/bin/sh"), *words(trap)


def nothing(trap: Trap) -> tuple[bytes, ...]:
    return ()


def a_pickle(trap: Trap) -> tuple[bytes, ...]:
    inner = b"\x80\x04" + call("os", "system", text(trap.shell)) + b"."
    return (b"B" + len(inner).to_bytes(4, "little") + inner,)


def a_class(trap: Trap) -> tuple[bytes, ...]:
    owner = name("sklearn.linear_model._logistic", "LogisticRegression")
    return owner, text("predict"), name("builtins", "eval")


def a_map(trap: Trap) -> tuple[bytes, ...]:
    return name("os", "system"), b"](" + text(trap.shell) + b"e"


# (module, name, arguments); a star: pickle, on Linux, would make the marker.
_TABLE: tuple[tuple[str, str, Arguments, str], ...] = (
    # The shell, and processes
    ("posix", "system", shell, "*"),
    ("nt", "system", shell, ""),
    ("os", "popen", shell, "*"),
    ("os", "posix_spawn", shell_and_words, ""),
    ("os", "execv", shell_and_words, ""),
    ("os", "spawnv", shell_and_words, ""),
    ("os", "startfile", path, ""),
    ("os", "fork", nothing, ""),
    ("os", "abort", nothing, ""),
    ("os", "_exit", nothing, ""),
    ("os", "kill", nothing, ""),
    ("os", "putenv", path_to_write, ""),
    ("subprocess", "Popen", words, "*"),
    ("subprocess", "call", words, "*"),
    ("subprocess", "run", words, "*"),
    ("subprocess", "check_output", words, "*"),
    ("subprocess", "getoutput", shell, "*"),
    ("subprocess", "getstatusoutput", shell, "*"),
    ("commands", "getoutput", shell, ""),
    ("popen2", "popen2", shell, ""),
    ("_posixsubprocess", "fork_exec", words, ""),
    ("pty", "spawn", words, "*"),
    ("distutils.spawn", "spawn", words, ""),
    ("asyncio.subprocess", "create_subprocess_shell", shell, ""),
    ("multiprocessing.util", "spawnv_passfds", shell_and_words, ""),
    ("multiprocessing.popen_fork", "Popen", nothing, ""),
    ("_osx_support", "_read_output", shell, "*"),
    ("uuid", "_get_command_stdout", words, ""),
    ("ctypes", "CDLL", path, ""),
    ("ctypes.util", "find_library", path, ""),
    ("_ctypes", "dlopen", path, ""),
    # Python itself
    ("builtins", "eval", python, "*"),
    ("builtins", "exec", python, "*"),
    ("builtins", "compile", python, ""),
    ("builtins", "__import__", path, ""),
    ("builtins", "open", path_to_write, "*"),
    ("builtins", "getattr", a_class, ""),
    ("builtins", "setattr", a_class, ""),
    ("builtins", "delattr", a_class, ""),
    ("builtins", "globals", nothing, ""),
    ("builtins", "vars", nothing, ""),
    ("builtins", "input", python, ""),
    ("builtins", "breakpoint", nothing, ""),
    ("builtins", "exit", nothing, ""),
    ("builtins", "type", a_class, ""),
    ("builtins", "map", a_map, ""),
    ("builtins", "filter", a_map, ""),
    ("__builtin__", "execfile", path, ""),
    ("__builtin__", "apply", a_map, ""),
    ("__main__", "system", shell, ""),
    ("importlib", "import_module", path, ""),
    ("importlib._bootstrap", "_call_with_frames_removed", a_map, ""),
    ("imp", "load_source", path, ""),
    ("runpy", "run_path", path, ""),
    ("runpy", "_run_code", python_and_names, "*"),
    ("code", "interact", python, ""),
    ("code", "InteractiveInterpreter", nothing, ""),
    ("bdb", "Bdb", nothing, ""),
    ("pdb", "run", python, ""),
    ("cProfile", "run", python, "*"),
    ("profile", "run", python, "*"),
    ("timeit", "timeit", statement_and_setup, "*"),
    ("trace", "Trace", nothing, ""),
    ("doctest", "debug_script", python, ""),
    ("pydoc", "pipepager", shell, ""),
    ("pydoc", "locate", path, ""),
    ("pkgutil", "resolve_name", path, ""),
    ("zipimport", "zipimporter", path, ""),
    ("types", "CodeType", nothing, ""),
    ("types", "FunctionType", nothing, ""),
    ("types", "ModuleType", path, ""),
    ("operator", "methodcaller", shell, ""),
    ("operator", "attrgetter", shell, ""),
    ("operator", "call", a_map, ""),
    ("functools", "partial", a_map, ""),
    ("functools", "reduce", a_map, ""),
    ("itertools", "starmap", a_map, ""),
    ("copyreg", "add_extension", a_class, ""),
    ("copyreg", "pickle", a_class, ""),
    ("weakref", "finalize", a_map, ""),
    ("atexit", "register", a_map, ""),
    ("threading", "Thread", nothing, ""),
    ("threading", "Timer", nothing, ""),
    ("signal", "alarm", nothing, ""),
    ("sys", "settrace", a_map, ""),
    ("sys", "exit", nothing, ""),
    ("sys", "modules", nothing, ""),
    ("faulthandler", "_sigsegv", nothing, ""),
    ("gc", "get_objects", nothing, ""),
    ("antigravity", "fly", nothing, ""),
    ("site", "main", nothing, ""),
    ("ensurepip", "bootstrap", nothing, ""),
    ("pip._internal.cli.main", "main", words, ""),
    ("setuptools.build_meta", "build_wheel", path, ""),
    ("logging.config", "fileConfig", path, ""),
    ("logging", "FileHandler", path, "*"),
    ("logging.handlers", "RotatingFileHandler", path, "*"),
    ("tkinter", "Tcl", nothing, ""),
    ("winreg", "SetValue", path, ""),
    ("msvcrt", "open_osfhandle", path, ""),
    # Files
    ("io", "open", path_to_write, "*"),
    ("_io", "FileIO", path_to_write, "*"),
    ("os", "mkdir", path, "*"),
    ("os", "remove", path, ""),
    ("os", "chdir", path, ""),
    ("shutil", "rmtree", path, ""),
    ("shutil", "copyfile", path_to_write, ""),
    ("pathlib", "Path.touch", path, ""),
    ("tempfile", "mkdtemp", path, ""),
    ("sqlite3", "connect", path, "*"),
    ("dbm.dumb", "open", path_to_write, ""),
    ("shelve", "open", path, ""),
    ("mailbox", "Mailbox", path, ""),
    ("zipfile", "ZipFile", path_to_write, "*"),
    ("tarfile", "open", path_to_write, ""),
    ("gzip", "open", path_to_write, "*"),
    ("lzma", "open", path_to_write, "*"),
    ("linecache", "getlines", path, ""),
    # The network
    ("socket", "create_connection", address, ""),
    ("socket", "socket", nothing, ""),
    ("urllib.request", "urlopen", url, ""),
    ("urllib.request", "urlretrieve", url, ""),
    ("http.client", "HTTPConnection", url, ""),
    ("ftplib", "FTP", url, ""),
    ("smtplib", "SMTP", address, ""),
    ("xmlrpc.client", "ServerProxy", url, ""),
    ("ssl", "get_server_certificate", address, ""),
    ("webbrowser", "open", url, ""),
    ("requests", "get", url, ""),
    ("logging.handlers", "SocketHandler", address, ""),
    ("multiprocessing.connection", "Client", address, ""),
    # Other loaders
    ("pickle", "loads", a_pickle, "*"),
    ("_pickle", "loads", a_pickle, "*"),
    ("dill", "loads", a_pickle, ""),
    ("cloudpickle", "loads", a_pickle, ""),
    ("cloudpickle.cloudpickle", "_make_function", nothing, ""),
    ("marshal", "loads", a_pickle, ""),
    ("joblib", "load", path, ""),
    ("joblib.numpy_pickle", "load", path, ""),
    ("joblib.parallel", "Parallel", nothing, ""),
    ("yaml", "unsafe_load", python, ""),
    ("jsonpickle", "decode", python, ""),
    ("torch", "load", path, ""),
    ("torch.storage", "_load_from_bytes", a_pickle, ""),
    ("torch.hub", "load", url, ""),
    # numpy, scipy, pandas
    ("numpy", "load", path, ""),
    ("numpy", "fromfile", path, ""),
    ("numpy", "memmap", path_to_write, ""),
    ("numpy", "savetxt", path, ""),
    ("numpy.f2py", "compile", python, ""),
    ("numpy.distutils.exec_command", "exec_command", shell, ""),
    ("numpy.testing._private.utils", "runstring", python_and_names, "*"),
    ("numpy.lib.npyio", "DataSource", path, ""),
    ("numpy.ctypeslib", "load_library", path, ""),
    ("scipy.weave", "inline", python, ""),
    ("scipy.io", "loadmat", path, ""),
    ("scipy.datasets", "face", nothing, ""),
    ("pandas", "read_pickle", path, ""),
    ("pandas", "read_csv", url, ""),
    ("pandas", "eval", python, ""),
    ("pandas.core.computation.eval", "eval", python, ""),
    ("pandas.io.common", "get_handle", path_to_write, ""),
    # The libraries of models
    ("sklearn.preprocessing._function_transformer", "FunctionTransformer", a_map, ""),
    ("sklearn.datasets", "fetch_openml", url, ""),
    ("sklearn.datasets._base", "load_files", path, ""),
    ("sklearn.utils", "_joblib", nothing, ""),
    ("sklearn.utils.fixes", "delayed", a_map, ""),
    ("sklearn.externals.joblib", "load", path, ""),
    ("sklearn.utils._testing", "set_random_state", nothing, ""),
    ("xgboost.callback", "TrainingCallback", nothing, ""),
    ("xgboost.core", "_load_lib", nothing, ""),
    ("xgboost.tracker", "RabitTracker", nothing, ""),
    ("lightgbm.basic", "_load_lib", nothing, ""),
    ("lightgbm.basic", "Booster.refit", path, ""),
    ("catboost.core", "CatBoost", path, ""),
    ("keras.models", "load_model", path, ""),
    ("keras.src.saving.saving_api", "load_model", path, ""),
    ("keras.src.layers.core.lambda_layer", "Lambda", nothing, ""),
    ("keras.src.utils.python_utils", "func_load", a_pickle, ""),
    ("keras.utils", "get_file", url, ""),
    ("tensorflow", "io.write_file", path_to_write, ""),
    ("tensorflow.python.ops.gen_io_ops", "write_file", path_to_write, ""),
    ("tensorflow.python.ops.script_ops", "eager_py_func", a_map, ""),
    ("tensorflow.python.saved_model.load", "load", path, ""),
    ("onnxruntime", "InferenceSession", path, ""),
    ("h5py", "File", path_to_write, ""),
    ("mlflow.pyfunc", "load_model", url, ""),
    ("skl2onnx", "to_onnx", nothing, ""),
    # This program
    ("propensia.processes", "run", path, ""),
    ("propensia.files", "write", path, ""),
    ("propensia.registry", "Registry", path, ""),
)


_MAY_BE_GOOD = {
    "functools.partial",
    "sklearn.preprocessing._function_transformer.FunctionTransformer",
    "sklearn.utils.fixes.delayed",
}


def _case(module: str, attribute: str, arguments: Arguments, springs: bool) -> Case:
    title = f"{module}.{attribute}"
    return Case(
        title=title,
        build=lambda trap: around(call(module, attribute, *arguments(trap))),
        # Of a strange name within one that good models may have, the stranger one is told.
        says="os.system" if title in _MAY_BE_GOOD else attribute,
        springs=springs,
    )


CASES = tuple(_case(*row[:3], row[3] == "*") for row in _TABLE)
