"""Embedding: headlines' texts to unit vectors, with a model that FlagEmbedding loads.

models            finding a model on this machine, and the digest that identifies it
hub               the Hugging Face hub: its local cache and downloads
precision         whether this machine can compute in a precision
encoder           the encoder: texts to vectors, batch after batch
flag_embedding    loading a model with FlagEmbedding
tokenizer         texts to token ids in flat arrays
batches           which texts form a batch, and their tokens packed one batch after the other
onednn            the forward pass on a CPU
fused             the forward pass on a GPU
device_copies     copies to and from the GPU
pending           vectors on their way back from the device
lexical_weights   BGE-M3's lexical weights, one number per token
lexical_shards    reading them back from a run folder
errors            the error that names the texts that failed
"""
