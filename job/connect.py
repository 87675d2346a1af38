"""The connection to Milvus that a configuration asks for."""

from job.backends.milvus import Fields, Milvus
from job.config import Config


def open_milvus(config: Config, patience: float | None = None) -> Milvus:
    """A connection to the configured collection; see `job.backends.milvus.Connection` for its errors. `patience`
    replaces `store.patience`."""
    store = config.store
    sparse = store.sparse_field if config.embed.sparse else ""
    return Milvus(
        config.store_uri,
        store.token.get_secret_value() if store.token else None,
        store.collection,
        Fields(store.id_field, store.vector_field, store.text_field, store.extra_fields, sparse),
        db_name=store.db_name,
        tls_ca=store.tls_ca,
        patience=store.patience if patience is None else patience,
    )
