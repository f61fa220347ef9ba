"""How BlendFER version 1 is made: head asset, annotators' confusion, faces, pretrained weights, audit."""
