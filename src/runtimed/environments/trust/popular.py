"""The names that malicious packages imitate: what people install most. Normalised."""

from __future__ import annotations

__all__ = ["POPULAR"]

_NAMES = """
    aiohttp alembic altair anyio appdirs arrow asyncpg attrs babel bcrypt beautifulsoup4 black
    bleach bokeh boto3 botocore bs4 cachetools celery certifi cffi chardet charset-normalizer
    click cloudpickle colorama conda coverage cryptography cython dash dask datasets decorator
    deno diffusers distlib django docker docutils duckdb email-validator fastapi fastparquet
    filelock flake8 flask fsspec gensim geopandas gevent gitpython google-api-core google-auth
    google-cloud-storage googleapis-common-protos gradio greenlet grpcio gunicorn h11 h5py
    httpcore httplib2 httpx huggingface-hub hypothesis idna imageio importlib-metadata ipykernel
    ipython ipywidgets isort jax jinja2 jmespath joblib jsonschema jupyter jupyter-client
    jupyter-core jupyterlab kafka-python keras kubernetes langchain lightgbm llvmlite lxml mako
    markdown markupsafe marshmallow matplotlib mlflow msgpack mypy mysqlclient nbconvert
    nbformat networkx nltk notebook numba numexpr numpy oauthlib onnx openai opencv-python
    openpyxl orjson packaging pandas paramiko pathspec peft pillow pip pipenv platformdirs
    plotly pluggy poetry polars prophet protobuf psutil psycopg2 psycopg2-binary py4j pyarrow
    pyasn1 pycparser pydantic pygments pyjwt pymongo pymysql pyopenssl pyparsing pyqt5 pyspark
    pytest python-dateutil python-dotenv pytorch pytz pyyaml pyzmq redis regex requests
    requests-oauthlib rich rsa ruff s3fs s3transfer safetensors scapy scikit-image scikit-learn
    scipy scrapy seaborn selenium sentencepiece sentry-sdk setuptools shap shapely simplejson
    six sklearn snowflake-connector-python soupsieve spacy sqlalchemy starlette statsmodels
    streamlit sympy tabulate tenacity tensorboard tensorflow threadpoolctl tiktoken tokenizers
    tomli toolz torch torchaudio torchvision tornado tox tqdm transformers typer
    typing-extensions tzdata ujson urllib3 uv uvicorn virtualenv wandb websocket-client
    websockets werkzeug wheel wrapt xarray xgboost xlrd xlsxwriter yarl zipp
"""

POPULAR = frozenset(_NAMES.split())
