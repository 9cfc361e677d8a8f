"""The fifteen corruptions of CIFAR-10-C (Hendrycks & Dietterich, 2019), made by computation alone."""
