"""Direction of arrival of a voice with Keras: simulate, mix, train, evaluate.

    import keras
    import doa_tf

    head = doa_tf.heads.get("gibbs-weighted")
    model = doa_tf.build_crnn(head)
    model.compile(keras.optimizers.Nadam(1e-3), loss=head.loss(), metrics=head.metrics())

Importing this is cheap: Keras is imported when something of it is used. docs/architecture.md draws
the sub-packages on one page.
"""

import lazy_loader

from doa_tf.registration import register_with_keras

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

register_with_keras()
