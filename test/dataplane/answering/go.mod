module ipvs-operator.io/answering

go 1.26
