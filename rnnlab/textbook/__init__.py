"""Executable versions of five published derivations, equation by equation in the notation of each source.

The code is deliberately slow: it loops over time and over indices in float64 and shares no code with the rest
of the package. Each line corresponds to an equation, and the fast code can be compared with this code.

    softmax        Jacobian of the softmax, and gradient of the cross-entropy through the softmax
    kumar          M. Kumar, *RNN Derivatives and Code sample*
    goodfellow     the note "RNN" (16 September 2019) after I. Goodfellow, Y. Bengio & A. Courville,
                   *Deep Learning* (2016), chapter 10
    shah           Falak Shah, *RNN backpropagation*
    brown          Carter N. Brown, *Gradients for an RNN* (2017), after the WildML tutorial
    numpy_slides   *Building a RNN with numpy* (slides)

The documentation page docs/derivations.md explains all five derivations. The page also compares the notation
of the sources and lists their errata.
"""
