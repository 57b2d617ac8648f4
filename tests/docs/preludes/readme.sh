PASSWORD='a long password of mine'
