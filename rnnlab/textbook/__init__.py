"""Reference implementations of five published derivations, each in the notation of its source.

The code follows the sources equation by equation and is deliberately slow: it loops over time steps and
indices, uses float64, and shares no code with the rest of rnnlab. The textbook code serves as a reference for
the fast code.

    softmax        Jacobian of the softmax, and gradient of the cross-entropy through the softmax
    kumar          Kumar, *RNN Derivatives and Code sample*
    goodfellow     the note "RNN" (16 September 2019), based on Goodfellow, Bengio & Courville,
                   *Deep Learning* (2016), chapter 10
    shah           Shah, *RNN backpropagation*
    brown          Brown, *Gradients for an RNN* (2017), based on the WildML tutorial
    numpy_slides   *Building a RNN with numpy* (slides)

The documentation page docs/derivations.md explains all five derivations, compares the notation of the sources
and lists their errata.
"""
