module example.com/keystead-example-go

go 1.23
